//! The model over HTTP, as a client sees it.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use scripted_model::{Asked, ModelConfig, ScriptedModel};
use serde_json::{Value, json};

async fn completion(model: &ScriptedModel, prompt: &str, stream: bool) -> Response<Incoming> {
    let body = json!({ "model": "scripted", "stream": stream, "messages": [{ "role": "user", "content": prompt }] });
    let request = Request::post(format!("{}/chat/completions", model.base_url()))
        .header("content-type", "application/json")
        .body(Full::<Bytes>::from(body.to_string()))
        .unwrap();
    Client::builder(TokioExecutor::new())
        .build_http()
        .request(request)
        .await
        .unwrap()
}

/// The body; `None` when it breaks off.
async fn text(response: Response<Incoming>) -> Option<String> {
    let bytes = response.into_body().collect().await.ok()?.to_bytes();
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

/// The deltas of a streamed answer, joined, and whether it ended as it should.
async fn streamed(model: &ScriptedModel, prompt: &str) -> (String, bool) {
    let text = text(completion(model, prompt, true).await).await.unwrap();
    let mut said = String::new();
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|line| *line != "[DONE]")
    {
        let chunk: Value = serde_json::from_str(line).unwrap();
        said.push_str(
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default(),
        );
    }
    (said, text.ends_with("data: [DONE]\n\n"))
}

#[tokio::test]
async fn a_count_loses_nothing_streamed_or_whole() {
    let model = ScriptedModel::start(ModelConfig::fast()).await.unwrap();
    let expected: String = (1..=500).map(|number| format!("{number} ")).collect();
    assert_eq!(
        streamed(&model, "count 500").await,
        (expected.clone(), true)
    );
    let whole: Value = serde_json::from_str(
        &text(completion(&model, "count 500", false).await)
            .await
            .unwrap(),
    )
    .unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], expected);
    assert_eq!(model.answered(), 2);
    model.stop().await;
}

#[tokio::test]
async fn a_cut_answer_breaks_off_once() {
    let model = ScriptedModel::start(ModelConfig::fast()).await.unwrap();
    assert_eq!(text(completion(&model, "cut", true).await).await, None);
    assert!(streamed(&model, "cut").await.0.contains("second one"));
    model.stop().await;
}

#[tokio::test]
async fn a_refusal_has_its_status() {
    let model = ScriptedModel::start(ModelConfig::fast()).await.unwrap();
    assert_eq!(
        completion(&model, "fail 503 1", true).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        completion(&model, "fail 503 1", true).await.status(),
        StatusCode::OK
    );
    model.stop().await;
}

#[tokio::test]
async fn stopping_ends_an_answer_without_an_end() {
    let model = ScriptedModel::start(ModelConfig::fast()).await.unwrap();
    let response = completion(&model, "slow 50", true).await;
    model.stop().await;
    assert!(!text(response).await.unwrap_or_default().contains("[DONE]"));
}

#[tokio::test]
async fn what_was_asked_is_known_once_it_is_recorded() {
    let model = ScriptedModel::start(ModelConfig::fast()).await.unwrap();
    text(completion(&model, "say before", false).await).await;
    assert_eq!(model.take_asked(), []);
    model.record();
    text(completion(&model, "say after", false).await).await;
    let asked = Asked {
        prompt: "say after".to_owned(),
        earlier: Vec::new(),
        tool_results: 0,
    };
    assert_eq!(model.take_asked(), [asked]);
    assert_eq!(model.take_asked(), []);
}
