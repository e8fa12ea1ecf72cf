//! Counts requests: by plugin and class of status, and how long they took.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};

/// The metrics of one plugin. They are registered at its first request, so that a plugin that
/// nobody calls has none, and so that the recorder is there by then.
pub struct Meter {
    plugin: Arc<str>,
    handles: OnceLock<Handles>,
}

struct Handles {
    /// By the first digit of the status, from 2.
    requests: [Counter; 4],
    seconds: Histogram,
}

impl Meter {
    /// The metrics of this plugin.
    pub fn new(plugin: Arc<str>) -> Self {
        Self { plugin, handles: OnceLock::new() }
    }

    /// Count a request.
    pub fn count(&self, status: StatusCode, took: Duration) {
        let handles = self.handles.get_or_init(|| Handles::register(&self.plugin));
        let class = usize::from(status.as_u16() / 100).clamp(2, 5);
        handles.requests[class - 2].increment(1);
        handles.seconds.record(took);
    }
}

impl Handles {
    fn register(plugin: &Arc<str>) -> Self {
        let requests = ["2xx", "3xx", "4xx", "5xx"].map(|class| {
            counter!("trellis_http_requests_total", "plugin" => plugin.clone(), "class" => class)
        });
        let seconds = histogram!("trellis_http_request_seconds", "plugin" => plugin.clone());
        Self { requests, seconds }
    }
}
