//! More chat sessions than there may be processes.

use protocol::state::{ChatState, TurnState};
use protocol::wire::ProcessWait;

use crate::double::{Double, Stage, Told, ended};
use crate::prompt;

#[tokio::test]
async fn whoever_finds_no_process_free_waits_visibly_until_the_other_has_made_room() {
    let (stage, (double, mut heard)) = (Stage::new().await, Double::new());
    let second = stage.another_chat().await;
    let _agent = stage.builder(&double).process_limit(1).start().unwrap();
    stage.send("one").await;
    let (one, _, events) = prompt(&mut heard).await;
    stage.send_to(&second, "two").await;
    let view = stage.until_in(&second, |view| view.wait.is_some()).await;
    let wait = ProcessWait {
        ahead: 0,
        processes: 1,
        process_limit: 1,
        for_memory: false,
    };
    assert_eq!(view.wait, Some(wait));
    assert_eq!(view.turns[0].state, TurnState::Queued);

    let done = ended(&one, TurnState::Completed, "first");
    events.send(done).await.unwrap();
    assert!(matches!(heard.recv().await, Some(Told::Stopped)));
    let (two, text, events) = prompt(&mut heard).await;
    assert_eq!(text, "two");
    let view = stage.until_in(&second, |view| view.wait.is_none()).await;
    assert_eq!(view.turns[0].state, TurnState::Delivered);
    let done = ended(&two, TurnState::Completed, "second");
    events.send(done).await.unwrap();
    let is_over = |state: TurnState| state == TurnState::Completed;
    stage
        .until_in(&second, |view| is_over(view.turns[0].state))
        .await;
    let first = stage.until(|view| is_over(view.turns[0].state)).await;
    assert_eq!(first.chat.state, ChatState::Hibernated);
}
