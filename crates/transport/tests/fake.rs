//! The fake passes the suite of every transport.

use std::sync::Arc;

use transport::fake::FakeBackend;

#[tokio::test]
async fn the_fake_passes_the_suite() {
    let backend = FakeBackend::new();
    let owner = backend.owner_token();
    transport::suite::run(Arc::new(backend), owner).await;
}
