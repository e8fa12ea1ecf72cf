//! What the blobs of a plugin take, and whether more fits.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Gauge;

use super::super::{Error, Result};

/// The sum over all blobs of a plugin.
pub struct Quota {
    used: AtomicU64,
    shown: Gauge,
}

/// Room for a write, which is given back unless the write happened.
pub struct Change<'a> {
    quota: &'a Quota,
    /// Taken before the write.
    more: u64,
    /// Given back after it.
    less: u64,
}

impl Quota {
    /// What is there when a plugin's blobs are opened.
    pub fn new(plugin: &str, used: u64) -> Self {
        let shown = metrics::gauge!("trellis_blobs_bytes", "plugin" => plugin.to_owned());
        shown.set(used as f64);
        Self { used: AtomicU64::new(used), shown }
    }

    /// Make room for a blob that counted `before` and will count `after`. Less is always allowed.
    pub fn change(&self, before: u64, after: u64, most: u64) -> Result<Change<'_>> {
        let more = after.saturating_sub(before);
        let fits = |used: u64| used.checked_add(more).filter(|wanted| more == 0 || *wanted <= most);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(Change { quota: self, more, less: before.saturating_sub(after) }),
            Err(used) => Err(Error::Full { wanted: used.saturating_add(more), most }),
        }
    }

    /// A blob is gone.
    pub fn give_back(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        // The function is never without an answer.
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.shown.set(self.used() as f64);
    }

    /// What the blobs take.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Change<'_> {
    /// The write happened.
    pub fn keep(mut self) {
        self.more = 0;
        self.quota.give_back(std::mem::take(&mut self.less));
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if self.more > 0 {
            self.quota.give_back(self.more);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_happen_takes_nothing_and_less_is_always_allowed() {
        let quota = Quota::new("p", 0);
        quota.change(0, 60, 100).unwrap().keep();
        drop(quota.change(0, 40, 100).unwrap());
        assert_eq!(quota.used(), 60);
        let refused = quota.change(0, 41, 100).err();
        assert_eq!(refused, Some(Error::Full { wanted: 101, most: 100 }));
        // The bound was made smaller meanwhile.
        quota.change(60, 50, 10).unwrap().keep();
        assert_eq!(quota.used(), 50);
        quota.give_back(70);
        assert_eq!(quota.used(), 0);
    }
}
