//! The places of a port: as many as its manifest says, and so many for each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{manifest::Listen, triggers::customer};

/// Who holds the places of a port.
#[derive(Default)]
pub struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: u32,
    each: HashMap<IpAddr, u32>,
}

/// A place of a connection, for as long as it lasts.
pub struct Place {
    places: Arc<Places>,
    customer: IpAddr,
}

impl Places {
    /// A place for a client; without one, why there is none.
    pub fn take(self: &Arc<Self>, listen: &Listen, client: IpAddr) -> Result<Place, &'static str> {
        let customer = customer(client);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= listen.max_connections {
            return Err("full");
        }
        let own = taken.each.get(&customer).copied().unwrap_or_default();
        if listen.max_per_address.is_some_and(|most| own >= most) {
            return Err("address");
        }
        taken.all += 1;
        taken.each.insert(customer, own + 1);
        drop(taken);
        Ok(Place { places: Arc::clone(self), customer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        // Nothing is kept of those who have gone.
        match taken.each.get_mut(&self.customer) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.each.remove(&self.customer)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn listen(max_connections: u32, max_per_address: Option<u32>) -> Listen {
        let text = format!("name = \"it\"\nport = 1\nmax-connections = {max_connections}");
        Listen { max_per_address, ..toml::from_str(&text).unwrap() }
    }

    #[test]
    fn an_address_has_so_many_places_and_all_together_theirs() {
        let (places, listen) = (Arc::new(Places::default()), listen(3, Some(2)));
        let take = |address: &str| places.take(&listen, address.parse().unwrap());
        let (first, _second) = (take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap());
        assert_eq!(take("192.0.2.1").err(), Some("address"));
        let other = take("2001:db8::1").unwrap();
        assert_eq!(take("192.0.2.9").err(), Some("full"));
        drop(first);
        let _third = take("192.0.2.1").unwrap();
        drop(other);
        assert_eq!(places.0.lock().unwrap().each.len(), 1);
    }

    #[test]
    fn an_ipv6_client_counts_with_its_network() {
        let (places, listen) = (Arc::new(Places::default()), listen(9, Some(1)));
        let _one = places.take(&listen, "2001:db8::1".parse().unwrap()).unwrap();
        let neighbour = places.take(&listen, "2001:db8::2".parse().unwrap());
        assert_eq!(neighbour.err(), Some("address"));
    }
}
