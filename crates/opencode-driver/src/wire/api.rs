//! Its HTTP paths, version 1.

use std::collections::BTreeMap;

use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use protocol::ids::TurnId;
use serde::Deserialize;
use serde_json::json;

use super::{
    MessageInfo, ModelRef, Part, PermissionAsk, QuestionAsk, Status, is_turn_message, message_id,
    part_id,
};
use crate::driver::DriverError;
use crate::http::Server;

/// Messages asked for at once.
const PAGE_MESSAGES: usize = 50;
/// The most pages of one turn that are read: a turn of more than this many steps is shown cut.
const PAGES_MAX: usize = 40;
/// The agent that it takes unless it is told otherwise.
const USUAL_AGENT: &str = "build";
/// The header that names the next page.
const NEXT_PAGE: &str = "x-next-cursor";

/// opencode's server, spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    server: Server,
}

/// A message with its parts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Message {
    pub(crate) info: MessageInfo,
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
}

/// An answer to an ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Once,
    Always,
    Reject { message: Option<String> },
    Answers(Vec<Vec<String>>),
    Dismiss,
}

#[derive(Deserialize)]
struct Health {
    version: String,
}

#[derive(Deserialize)]
struct SessionInfo {
    id: String,
}

#[derive(Deserialize)]
struct Config {
    model: Option<String>,
    default_agent: Option<String>,
}

#[derive(Deserialize)]
struct Agent {
    name: String,
    mode: Option<String>,
    hidden: Option<bool>,
    model: Option<AgentModel>,
}

#[derive(Deserialize)]
struct AgentModel {
    #[serde(rename = "providerID")]
    provider_id: String,
    #[serde(rename = "modelID")]
    model_id: String,
}

#[derive(Deserialize)]
struct Providers {
    #[serde(default)]
    providers: Vec<Provider>,
    #[serde(default)]
    default: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Provider {
    id: String,
}

impl Agent {
    /// Whether a conversation can be with it.
    fn can_lead(&self) -> bool {
        self.mode.as_deref() != Some("subagent") && self.hidden != Some(true)
    }

    fn model(&self) -> Option<ModelRef> {
        let model = self.model.as_ref()?;
        Some(ModelRef {
            provider: model.provider_id.clone(),
            model: model.model_id.clone(),
        })
    }
}

impl Api {
    pub(crate) fn new(server: Server) -> Self {
        Self { server }
    }

    /// The version that is running.
    pub(crate) async fn version(&self) -> Result<String, DriverError> {
        let health: Health = self.get("asking for its health", "/global/health").await?;
        Ok(health.version)
    }

    /// Makes it load what it otherwise loads when the first message comes: its agents and providers.
    pub(crate) async fn warm_up(&self) -> Result<(), DriverError> {
        for path in ["/agent", "/config/providers"] {
            self.server
                .send("warming up", Method::GET, path, None)
                .await?
                .success()?;
        }
        Ok(())
    }

    /// The stream of events.
    pub(crate) async fn events(&self) -> Result<Incoming, DriverError> {
        self.server.open("opening its event stream", "/event").await
    }

    /// Begins a conversation; the title saves a call of the model.
    pub(crate) async fn create_session(
        &self,
        title: &str,
        ask_first: bool,
    ) -> Result<String, DriverError> {
        let title = if title.trim().is_empty() {
            "Chat"
        } else {
            title
        };
        let mut body = json!({ "title": title });
        if ask_first {
            // Comes after what the person's configuration and the agent's own say: the last rule decides.
            body["permission"] = json!([{ "permission": "*", "pattern": "*", "action": "ask" }]);
        }
        let answer = self
            .server
            .send(
                "beginning a conversation",
                Method::POST,
                "/session",
                Some(&body),
            )
            .await?;
        Ok(answer.json::<SessionInfo>()?.id)
    }

    /// Whether it has that conversation.
    pub(crate) async fn has_session(&self, session: &str) -> Result<bool, DriverError> {
        let answer = self
            .server
            .send(
                "looking for the conversation",
                Method::GET,
                &format!("/session/{session}"),
                None,
            )
            .await?;
        exists(answer.status).map_or_else(|| answer.success().map(|_| true), Ok)
    }

    /// The agent and model that turns use: those that are wanted, else those that it takes by itself, as far as
    /// that can be told. An agent's own model comes before the configured one, as it does in opencode.
    pub(crate) async fn defaults(
        &self,
        wanted_agent: Option<&str>,
        wanted_model: Option<ModelRef>,
    ) -> Result<(Option<String>, Option<ModelRef>), DriverError> {
        let (config, agents): (Config, Vec<Agent>) = tokio::try_join!(
            self.get("reading its configuration", "/config"),
            self.get("listing its agents", "/agent")
        )?;
        let named = |name: &str| agents.iter().find(|agent| agent.name == name);
        let first_of = |name: &str| named(name).filter(|agent| agent.can_lead());
        let agent = match wanted_agent {
            Some(wanted) => named(wanted),
            None => config
                .default_agent
                .as_deref()
                .and_then(first_of)
                .or_else(|| first_of(USUAL_AGENT))
                .or_else(|| agents.iter().find(|agent| agent.can_lead())),
        };
        let configured = || {
            agent
                .and_then(Agent::model)
                .or_else(|| config.model.as_deref().and_then(ModelRef::parse))
        };
        let model = match wanted_model.or_else(configured) {
            Some(model) => Some(model),
            None => self.first_providers_model().await?,
        };
        let name = agent
            .map(|agent| agent.name.clone())
            .or_else(|| wanted_agent.map(str::to_owned));
        Ok((name, model))
    }

    async fn first_providers_model(&self) -> Result<Option<ModelRef>, DriverError> {
        let known: Providers = self
            .get("listing its providers", "/config/providers")
            .await?;
        Ok(known.providers.iter().find_map(|provider| {
            Some(ModelRef {
                provider: provider.id.clone(),
                model: known.default.get(&provider.id)?.clone(),
            })
        }))
    }

    /// Hands over a person's message and returns at once.
    pub(crate) async fn prompt(
        &self,
        session: &str,
        turn: &TurnId,
        text: &str,
        model: Option<&ModelRef>,
        agent: Option<&str>,
    ) -> Result<(), DriverError> {
        let mut body = json!({
            "messageID": message_id(turn),
            "parts": [{ "id": part_id(turn), "type": "text", "text": text }],
        });
        if let Some(model) = model {
            body["model"] = json!({ "providerID": model.provider, "modelID": model.model });
        }
        if let Some(agent) = agent {
            body["agent"] = json!(agent);
        }
        let answer = self
            .server
            .send(
                "handing over the message",
                Method::POST,
                &format!("/session/{session}/prompt_async"),
                Some(&body),
            )
            .await?;
        answer.success().map(|_| ())
    }

    /// Whether it has a turn's message.
    pub(crate) async fn has_prompt(
        &self,
        session: &str,
        turn: &TurnId,
    ) -> Result<bool, DriverError> {
        let path = format!("/session/{session}/message/{}", message_id(turn));
        let answer = self
            .server
            .send("looking for the message", Method::GET, &path, None)
            .await?;
        exists(answer.status).map_or_else(|| answer.success().map(|_| true), Ok)
    }

    /// A turn's messages, oldest first, beginning with the person's; empty when it does not have them.
    pub(crate) async fn turn_messages(
        &self,
        session: &str,
        turn: &TurnId,
    ) -> Result<Vec<Message>, DriverError> {
        let first = message_id(turn);
        // Newest first, until the person's message is found.
        let mut found: Vec<Message> = Vec::new();
        let mut before = String::new();
        for _ in 0..PAGES_MAX {
            let path = format!("/session/{session}/message?limit={PAGE_MESSAGES}{before}");
            let answer = self
                .server
                .send("reading the answer", Method::GET, &path, None)
                .await?
                .success()?;
            let next = answer
                .headers
                .get(NEXT_PAGE)
                .and_then(|cursor| cursor.to_str().ok())
                .map(str::to_owned);
            let mut page: Vec<Message> = answer.json()?;
            while let Some(message) = page.pop() {
                let is_first = message.info.id == first;
                if message.info.is_user() && !is_first && is_turn_message(&message.info.id) {
                    // What was found so far belongs to a later turn.
                    found.clear();
                } else {
                    found.push(message);
                }
                if is_first {
                    found.reverse();
                    return Ok(found);
                }
            }
            let Some(next) = next else { break };
            before = format!("&before={next}");
        }
        Ok(Vec::new())
    }

    /// Whether it works on that conversation.
    pub(crate) async fn is_busy(&self, session: &str) -> Result<bool, DriverError> {
        let states: BTreeMap<String, Status> = self
            .get("asking whether it is busy", "/session/status")
            .await?;
        Ok(states
            .get(session)
            .is_some_and(|status| *status != Status::Idle))
    }

    /// Stops what it does in that conversation.
    pub(crate) async fn abort(&self, session: &str) -> Result<(), DriverError> {
        self.server
            .send(
                "stopping the turn",
                Method::POST,
                &format!("/session/{session}/abort"),
                None,
            )
            .await?
            .success()
            .map(|_| ())
    }

    /// Every ask that waits.
    pub(crate) async fn open_asks(
        &self,
    ) -> Result<(Vec<PermissionAsk>, Vec<QuestionAsk>), DriverError> {
        let permissions = self.get("listing what it asks", "/permission").await?;
        let questions = self.get("listing what it asks", "/question").await?;
        Ok((permissions, questions))
    }

    /// Answers an ask; `false` when nobody waits for it.
    pub(crate) async fn reply(&self, ask: &str, reply: &Reply) -> Result<bool, DriverError> {
        let (path, body) = match reply {
            Reply::Once => (
                format!("/permission/{ask}/reply"),
                json!({ "reply": "once" }),
            ),
            Reply::Always => (
                format!("/permission/{ask}/reply"),
                json!({ "reply": "always" }),
            ),
            Reply::Reject {
                message: Some(message),
            } => (
                format!("/permission/{ask}/reply"),
                json!({ "reply": "reject", "message": message }),
            ),
            Reply::Reject { message: None } => (
                format!("/permission/{ask}/reply"),
                json!({ "reply": "reject" }),
            ),
            Reply::Answers(answers) => (
                format!("/question/{ask}/reply"),
                json!({ "answers": answers }),
            ),
            Reply::Dismiss => (format!("/question/{ask}/reject"), json!({})),
        };
        let answer = self
            .server
            .send("answering what it asked", Method::POST, &path, Some(&body))
            .await?;
        exists(answer.status).map_or_else(|| answer.success().map(|_| true), Ok)
    }

    /// Ends everything in order: aborts, kills tools, writes state.
    pub(crate) async fn dispose(&self, limit: std::time::Duration) -> Result<(), DriverError> {
        let server = self.server.with_limit(limit);
        server
            .send("ending it in order", Method::POST, "/global/dispose", None)
            .await?
            .success()
            .map(|_| ())
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<T, DriverError> {
        self.server
            .send(operation, Method::GET, path, None)
            .await?
            .json()
    }
}

/// `Some(false)` when a thing is not there, `None` when the status says something else.
fn exists(status: StatusCode) -> Option<bool> {
    (status == StatusCode::NOT_FOUND).then_some(false)
}
