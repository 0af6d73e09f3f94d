//! A machine comes back without waiting for its driver.

use opencode_driver::DriverError;
use protocol::wire::Presence;

use crate::double::{Double, Stage};
use crate::prompt;

#[tokio::test]
async fn a_machine_is_online_and_at_work_before_its_driver_has_told_its_version() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    double.says(None);
    let _agent = stage.agent(&double);
    stage.send("one").await;
    prompt(&mut heard).await;
    let online = stage
        .until_machine(|machine| matches!(machine.presence, Presence::Online { epoch: 1, .. }))
        .await;
    let info = online.info.unwrap();
    assert_eq!((info.opencode_version, info.problem), (None, None));
    assert!(!info.os.is_empty());

    double.says(Some(Ok("1.2.3")));
    let known = stage
        .until_machine(|machine| machine.info.as_ref().unwrap().opencode_version.is_some())
        .await;
    let info = known.info.unwrap();
    assert_eq!(info.opencode_version.as_deref(), Some("1.2.3"));
    assert!(!info.os.is_empty());
    assert!(matches!(known.presence, Presence::Online { epoch: 1, .. }));
}

#[tokio::test]
async fn a_version_that_is_refused_is_told_when_it_is_known() {
    let (stage, (double, _heard)) = (Stage::new().await, Double::new());
    double.says(None);
    let agent = stage.agent(&double);
    agent
        .status()
        .wait_for(|status| status.connected)
        .await
        .unwrap();
    let refused = DriverError::WrongVersion {
        path: "/bin/opencode".into(),
        found: "0.1".to_owned(),
        accepted: "1.2".to_owned(),
        advice: "Install it.".to_owned(),
    };
    double.says(Some(Err(refused.clone())));
    let known = stage
        .until_machine(|machine| machine.info.as_ref().unwrap().problem.is_some())
        .await;
    assert_eq!(known.info.unwrap().problem, Some(refused.to_string()));
}

#[tokio::test]
async fn what_is_known_while_the_backend_is_away_is_told_when_it_is_back() {
    let (stage, (double, _heard)) = (Stage::new().await, Double::new());
    double.says(None);
    let agent = stage.agent(&double);
    agent
        .status()
        .wait_for(|status| status.connected)
        .await
        .unwrap();
    stage.backend.set_offline(true);
    double.says(Some(Ok("1.2.3")));
    agent
        .status()
        .wait_for(|status| !status.connected)
        .await
        .unwrap();
    stage.backend.set_offline(false);
    stage
        .until_machine(|machine| machine.info.as_ref().unwrap().opencode_version.is_some())
        .await;
}
