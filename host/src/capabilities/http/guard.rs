//! The address guard: names are resolved here, every address is judged, and the connection goes
//! to an address that was judged, so that a name cannot change its mind in between.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower_service::Service;

/// Which addresses may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public internet.
    Public,
    /// Those of the own machine and network too, but for the services of cloud machines that
    /// hand out credentials.
    Private,
}

impl Reach {
    /// Whether an address may be connected to.
    pub fn allows(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.allows_v4(v4),
            IpAddr::V6(v6) => match embedded(v6) {
                Some(v4) => self.allows_v4(v4),
                None => self.allows_v6(v6),
            },
        }
    }

    fn allows_v4(self, address: Ipv4Addr) -> bool {
        let nowhere = within(address, NOWHERE) || METADATA.contains(&address);
        !nowhere && (self == Self::Private || !within(address, NOT_PUBLIC))
    }

    fn allows_v6(self, address: Ipv6Addr) -> bool {
        let [first, second, ..] = address.segments();
        let metadata = METADATA_V6.contains(&address);
        let nowhere = address.is_multicast() || address.is_unspecified() || metadata;
        let special = match first {
            // Teredo and other protocols; documentation.
            0x2001 => second < 0x0200 || second == 0x0db8,
            // Documentation.
            0x3fff => second < 0x1000,
            _ => false,
        };
        let global = first & 0xe000 == 0x2000 && !special;
        !nowhere && (self == Self::Private || global)
    }
}

/// Where clouds hand out credentials to whoever asks from the machine itself.
const METADATA: &[Ipv4Addr] = &[
    // Most of them.
    Ipv4Addr::new(169, 254, 169, 254),
    // Amazon's, for containers and for pods.
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    // Azure's agent, at an address that looks public.
    Ipv4Addr::new(168, 63, 129, 16),
    // Alibaba's and Oracle's.
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
];

/// No host has one of these: this network, multicast, reserved, broadcast.
const NOWHERE: &[(Ipv4Addr, u32)] =
    &[(Ipv4Addr::new(0, 0, 0, 0), 8), (Ipv4Addr::new(224, 0, 0, 0), 3)];

/// Hosts of the own machine, network or provider.
const NOT_PUBLIC: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
];

fn within(address: Ipv4Addr, networks: &[(Ipv4Addr, u32)]) -> bool {
    let differs = |network: Ipv4Addr| address.to_bits() ^ network.to_bits();
    networks.iter().any(|(network, bits)| differs(*network) >> (32 - bits) == 0)
}

/// The IPv4 address that packets to this IPv6 address end up at: mapped, compatible, behind
/// NAT64, or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(join(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(join(high, low)),
        _ => None,
    }
}

/// The addresses of a name, in the order to try.
pub type Lookup = Arc<dyn Fn(String) -> Looked + Send + Sync>;
/// The future of a [`Lookup`].
pub type Looked = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Lookups at a time in the whole host: each holds a thread until the system has answered.
const MAX_LOOKUPS: usize = 32;

/// The lookup of the operating system.
pub fn system() -> Lookup {
    let slots = Arc::new(Semaphore::new(MAX_LOOKUPS));
    Arc::new(move |name| {
        let slots = slots.clone();
        Box::pin(async move {
            let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            let look = move || {
                let _slot = slot;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            };
            tokio::task::spawn_blocking(look).await.map_err(io::Error::other)?
        })
    })
}

/// Why a name was not connected to.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It has no address that may be reached.
    #[error("`{0}` has only addresses that are not allowed")]
    Prohibited(String),
    /// It has no address.
    #[error("`{name}` has no address: {reason}")]
    Unknown {
        /// The name.
        name: String,
        /// What the system said.
        reason: String,
    },
}

/// Resolves names for the connector and lets through what may be reached.
#[derive(Clone)]
pub struct Guard {
    lookup: Lookup,
    reach: Reach,
}

impl Guard {
    /// A guard over this lookup.
    pub fn new(lookup: Lookup, reach: Reach) -> Self {
        Self { lookup, reach }
    }
}

impl Service<Name> for Guard {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Refused>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (name, reach) = (name.as_str().to_owned(), self.reach);
        let looked = (self.lookup)(name.clone());
        Box::pin(async move {
            let found = match looked.await {
                Ok(found) if !found.is_empty() => found,
                Ok(_) => return Err(Refused::Unknown { name, reason: "none is known".into() }),
                Err(e) => return Err(Refused::Unknown { name, reason: e.to_string() }),
            };
            let reachable = found.into_iter().filter(|address| reach.allows(*address));
            // The connector puts the port in.
            let reachable: Vec<_> = reachable.map(|address| SocketAddr::new(address, 0)).collect();
            if reachable.is_empty() {
                Err(Refused::Prohibited(name))
            } else {
                Ok(reachable.into_iter())
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allowed(reach: Reach, addresses: &[&str]) -> Vec<String> {
        let allowed = addresses.iter().filter(|text| reach.allows(text.parse().unwrap()));
        allowed.map(ToString::to_string).collect()
    }

    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "93.184.216.34",
        "100.128.0.1",
        "172.32.0.1",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ];
    const PRIVATE: &[&str] = &[
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "198.19.0.1",
        "::1",
        "fe80::1",
        "fc00::1",
        "fdff::1",
        "::ffff:127.0.0.1",
        "::ffff:192.168.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001::1",
    ];
    const NEVER: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "::",
        "::ffff:168.63.129.16",
        "ff02::1",
        "::ffff:0.0.0.0",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "fd00:ec2::254",
        "fd00:ec2::23",
    ];

    #[test]
    fn without_the_grant_only_public_addresses_are_reached() {
        assert_eq!(allowed(Reach::Public, PUBLIC), PUBLIC);
        assert!(allowed(Reach::Public, PRIVATE).is_empty());
        assert!(allowed(Reach::Public, NEVER).is_empty());
    }

    #[test]
    fn with_it_private_ones_too_but_never_those_that_hand_out_credentials() {
        assert_eq!(allowed(Reach::Private, PUBLIC), PUBLIC);
        assert_eq!(allowed(Reach::Private, PRIVATE), PRIVATE);
        assert!(allowed(Reach::Private, NEVER).is_empty());
    }

    #[tokio::test]
    async fn of_a_mixed_answer_only_the_public_addresses_are_tried() {
        let lookup: Lookup =
            Arc::new(|_| Box::pin(async { Ok(vec![[127, 0, 0, 1].into(), [1, 1, 1, 1].into()]) }));
        let mut guard = Guard::new(lookup, Reach::Public);
        let tried: Vec<_> = guard.call("mixed.test".parse().unwrap()).await.unwrap().collect();
        assert_eq!(tried, ["1.1.1.1:0".parse().unwrap()]);
    }

    #[tokio::test]
    async fn odd_spellings_of_an_address_are_judged_as_what_they_mean() {
        for name in ["127.1", "0x7f.0.0.1", "2130706433", "017700000001", "localhost"] {
            let answer = Guard::new(system(), Reach::Public).call(name.parse().unwrap()).await;
            assert!(answer.is_err(), "{name}");
        }
    }
}
