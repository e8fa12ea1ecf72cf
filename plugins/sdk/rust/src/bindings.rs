//! What the WIT packages say, as Rust: generated, and the only place with unsafe code.
//!
//! One world holds all imports; the component that comes out imports only what is called. Each
//! trigger is a world of its own, so that a plugin exports any combination of them.
#![allow(unsafe_code, missing_docs, clippy::all, unused_qualifications)]

/// Everything a plugin may import.
pub mod imports {
    wit_bindgen::generate!({
        path: [
            "wit/http",
            "wit/kafka",
            "wit/storage",
            "wit/plugin",
            "wit/deps/keyvalue-draft2",
            "wit/deps/config",
            "wit/deps/logging",
        ],
        inline: "
            package trellis:sdk-imports;
            world imports {
                import trellis:http/client@0.1.0;
                import trellis:kafka/packed-producer@0.1.0;
                import trellis:storage/sql@0.1.0;
                import trellis:storage/cache@0.1.0;
                import trellis:storage/blobs@0.1.0;
                import trellis:plugin/metrics@0.1.0;
                import trellis:plugin/geoip@0.1.0;
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
                import wasi:keyvalue/batch@0.2.0-draft2;
                import wasi:config/store@0.2.0-rc.1;
                import wasi:logging/logging@0.1.0-draft;
            }
        ",
        ownership: Borrowing { duplicate_if_necessary: true },
        generate_all,
    });
}

/// Being asked over HTTP.
pub mod http {
    wit_bindgen::generate!({
        path: "wit/http",
        inline: "
            package trellis:sdk-http;
            world http {
                export trellis:http/packed-handler@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_http",
        default_bindings_module: "trellis_sdk::bindings::http",
    });
}

/// Being run by a topic.
pub mod consumer {
    wit_bindgen::generate!({
        path: "wit/kafka",
        inline: "
            package trellis:sdk-consumer;
            world consumer {
                export trellis:kafka/packed-consumer@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_consumer",
        default_bindings_module: "trellis_sdk::bindings::consumer",
    });
}

/// Hooks around a generation.
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "wit/plugin",
        inline: "
            package trellis:sdk-lifecycle;
            world lifecycle {
                export trellis:plugin/lifecycle@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "trellis_sdk::bindings::lifecycle",
    });
}

/// Channels, and being asked about connections: one world, because both speak of frames.
pub mod streaming {
    wit_bindgen::generate!({
        path: "wit/streaming",
        inline: "
            package trellis:sdk-streaming;
            world streaming {
                import trellis:streaming/channels@0.1.0;
                import trellis:streaming/presence@0.1.0;
                import trellis:streaming/mailboxes@0.1.0;
                export trellis:streaming/connection-handler@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_connection",
        default_bindings_module: "trellis_sdk::bindings::streaming",
    });
}

/// Being handed the bytes of TCP connections.
pub mod socket {
    wit_bindgen::generate!({
        path: "wit/streaming",
        inline: "
            package trellis:sdk-socket;
            world socket {
                export trellis:streaming/socket-handler@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_socket",
        default_bindings_module: "trellis_sdk::bindings::socket",
    });
}

/// Being run by the clock.
pub mod jobs {
    wit_bindgen::generate!({
        path: "wit/jobs",
        inline: "
            package trellis:sdk-jobs;
            world jobs {
                export trellis:jobs/job-handler@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_jobs",
        default_bindings_module: "trellis_sdk::bindings::jobs",
    });
}
