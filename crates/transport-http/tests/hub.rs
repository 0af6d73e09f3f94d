//! HTTP, with a real hub on the other side, passes the suite of every transport.

use std::sync::Arc;

use hub::{Hub, HubConfig};
use protocol::secret::Secret;
use transport::{Call, Transport, TransportError};
use transport_http::HttpTransport;

#[tokio::test(flavor = "multi_thread")]
async fn http_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(HubConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        ..HubConfig::new(folder.path())
    })
    .await
    .unwrap();
    let owner = Secret::new(
        std::fs::read_to_string(hub.owner_token_path())
            .unwrap()
            .trim(),
    );
    let transport = HttpTransport::new(&hub.local_url()).unwrap();
    transport::suite::run(Arc::new(transport), owner).await;
    hub.shutdown().await;
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_lost_not_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let transport = HttpTransport::new(&address).unwrap();
    let call = Call {
        function: "machine.list".to_owned(),
        args: serde_json::json!({}),
        key: None,
        credential: None,
    };
    assert!(matches!(
        transport.call(call).await,
        Err(TransportError::Lost(_))
    ));
}

#[test]
fn an_address_that_is_none_is_refused_with_an_example() {
    for address in ["", "hub", "ftp://hub", "http://"] {
        let error = HttpTransport::new(address).unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:7777"), "{error}");
    }
}
