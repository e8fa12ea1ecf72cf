//! Getting in: TLS and SASL, and being told why one does not.

use std::io::Write;

use super::{
    super::super::settings::kafka::{Compression, Sasl},
    *,
};
use crate::secret::Source;

/// The listener with TLS and SASL, for a user with this password.
fn secure(broker: &Broker, password: &str) -> (Settings, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{password}").unwrap();
    let settings = Settings {
        brokers: vec![broker.secure().to_owned()],
        tls: true,
        ca: Some(broker.ca()),
        sasl: Some(Sasl::ScramSha512),
        user: Some(broker.user().to_owned()),
        password: Some(Source::File(file.path().to_owned())),
        ..Settings::default()
    };
    (settings, file)
}

/// Why the host is not let in. A broker that is too busy to say so in time counts as away, and is
/// asked again.
async fn refusal(settings: Settings) -> String {
    for _ in 0..10 {
        match Kafka::open(settings.clone(), Duration::from_secs(1)).await {
            Err(refused) => return format!("{refused:#}"),
            Ok(log) => assert!(log.lag().await.is_err(), "it is let in"),
        }
    }
    panic!("no broker says why");
}

#[tokio::test]
async fn records_go_through_tls_for_a_user_with_a_password() {
    let broker = started().await;
    let (settings, _file) = secure(broker, broker.password());
    let log = open(settings).await;
    let topic = topic(&log, "secure").await;
    send(&log, &topic, "a").await.unwrap();
    assert_eq!(values(&log, &topic).await, ["a"]);
}

#[tokio::test]
async fn a_wrong_password_is_told_of_at_the_start_and_not_shown() {
    let broker = started().await;
    let (settings, _file) = secure(broker, "hunter2");
    let told = refusal(settings).await;
    assert!(told.contains("does not let the host in"), "{told}");
    assert!(told.contains("Authentication"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_broker_with_a_certificate_of_others_is_not_trusted() {
    let broker = started().await;
    let (settings, _file) = secure(broker, broker.password());
    let told = refusal(Settings { ca: None, ..settings }).await;
    assert!(told.contains("SSL"), "{told}");
}

#[tokio::test]
async fn every_codec_gives_back_what_was_sent() {
    let broker = started().await;
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let log = open(Settings { compression, ..settings(broker) }).await;
        let topic = topic(&log, "codec").await;
        let value = "compressible ".repeat(100);
        send(&log, &topic, &value).await.unwrap();
        assert_eq!(values(&log, &topic).await, [value], "{compression:?}");
    }
}
