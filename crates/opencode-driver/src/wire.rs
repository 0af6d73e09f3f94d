//! Everything about opencode that belongs to one version of it: 1.18. Its version-1 HTTP paths and bodies,
//! its events, its ids, and (in [`launch`]) its command line and environment. The rest of the crate only
//! knows the types of this module.

mod api;
mod fingerprint;
mod ids;
pub(crate) mod launch;

use protocol::schedule::FailureKind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use api::{Api, Message, Reply};
pub(crate) use fingerprint::{Fingerprint, fingerprint};
pub(crate) use ids::{is_turn_message, message_id, part_id};

/// The versions that this module knows, for people.
pub(crate) const ACCEPTED_VERSIONS: &str = "1.18.x";
/// The user name of its server.
pub(crate) const SERVER_USER: &str = "opencode";

/// Whether this module knows that version.
pub(crate) fn accepts_version(version: &str) -> bool {
    let Some(patch) = version.strip_prefix("1.18.") else {
        return false;
    };
    patch
        .split(['-', '+'])
        .next()
        .is_some_and(|patch| patch.parse::<u32>().is_ok())
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelRef {
    pub(crate) provider: String,
    pub(crate) model: String,
}

impl ModelRef {
    /// Reads `provider/model`; the model's own name may hold slashes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.split_once('/')?;
        (!provider.is_empty() && !model.is_empty()).then(|| Self {
            provider: provider.to_owned(),
            model: model.to_owned(),
        })
    }
}

impl std::fmt::Display for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// An event of its stream, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The stream is open.
    Connected,
    /// A message began or changed.
    Message(MessageInfo),
    /// A part began or changed.
    Part(Part),
    /// A part's text grew.
    Delta { part: String, delta: String },
    /// The conversation's state changed.
    Status { session: String, status: Status },
    /// Something failed; what comes after decides whether that ends the turn.
    Failed {
        session: Option<String>,
        error: Failure,
    },
    /// Somebody must decide.
    PermissionAsked(PermissionAsk),
    /// Somebody must answer.
    QuestionAsked(QuestionAsk),
    /// Nobody waits for this ask any more.
    AskSettled { id: String },
    /// Something that does not matter here, or that is not known.
    Other { kind: String },
}

impl Event {
    /// Reads an event. What is not known becomes [`Event::Other`], what can't be read an error text.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(rename = "type")]
            kind: String,
            #[serde(borrow)]
            properties: Option<&'a RawValue>,
        }
        // Bytes that are not UTF-8 can only be inside texts: show them as such rather than lose the event.
        let text = String::from_utf8_lossy(data);
        let envelope: Envelope<'_> =
            serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let properties = envelope.properties.map_or("{}", RawValue::get);
        Self::of_kind(&envelope.kind, properties)
            .map_err(|error| format!("{}: {error}", envelope.kind))
    }

    fn of_kind(kind: &str, properties: &str) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            "server.connected" => Self::Connected,
            "message.updated" => {
                Self::Message(serde_json::from_str::<Holder<MessageInfo>>(properties)?.info)
            }
            "message.part.updated" => {
                Self::Part(serde_json::from_str::<PartHolder>(properties)?.part)
            }
            "message.part.delta" => {
                let delta: DeltaProperties = serde_json::from_str(properties)?;
                Self::Delta {
                    part: delta.part_id,
                    delta: delta.delta,
                }
            }
            "session.status" => {
                let status: StatusProperties = serde_json::from_str(properties)?;
                Self::Status {
                    session: status.session_id,
                    status: status.status,
                }
            }
            "session.idle" => Self::Status {
                session: serde_json::from_str::<SessionProperties>(properties)?.session_id,
                status: Status::Idle,
            },
            "session.error" => {
                let failed: FailedProperties = serde_json::from_str(properties)?;
                Self::Failed {
                    session: failed.session_id,
                    error: failed.error.unwrap_or_default(),
                }
            }
            "permission.asked" => Self::PermissionAsked(serde_json::from_str(properties)?),
            "question.asked" => Self::QuestionAsked(serde_json::from_str(properties)?),
            "permission.replied" | "question.replied" | "question.rejected" => Self::AskSettled {
                id: serde_json::from_str::<SettledProperties>(properties)?.request_id,
            },
            other => Self::Other {
                kind: other.to_owned(),
            },
        })
    }
}

#[derive(Deserialize)]
struct Holder<T> {
    info: T,
}

#[derive(Deserialize)]
struct PartHolder {
    part: Part,
}

#[derive(Deserialize)]
struct SessionProperties {
    #[serde(rename = "sessionID")]
    session_id: String,
}

#[derive(Deserialize)]
struct StatusProperties {
    #[serde(rename = "sessionID")]
    session_id: String,
    status: Status,
}

#[derive(Deserialize)]
struct FailedProperties {
    #[serde(rename = "sessionID")]
    session_id: Option<String>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct SettledProperties {
    #[serde(rename = "requestID")]
    request_id: String,
}

#[derive(Deserialize)]
struct DeltaProperties {
    #[serde(rename = "partID")]
    part_id: String,
    delta: String,
}

/// What a conversation is doing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Status {
    Idle,
    Busy,
    Retry {
        #[serde(default)]
        attempt: u32,
        #[serde(default)]
        message: String,
    },
    #[serde(other)]
    Unknown,
}

/// A message without its parts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct MessageInfo {
    pub(crate) id: String,
    #[serde(rename = "sessionID")]
    pub(crate) session_id: String,
    #[serde(default)]
    pub(crate) role: String,
    #[serde(rename = "parentID")]
    pub(crate) parent_id: Option<String>,
    #[serde(default)]
    pub(crate) time: MessageTime,
    pub(crate) finish: Option<String>,
    pub(crate) error: Option<Failure>,
    /// Whether it is a summary of the conversation. User messages have an object here, which is none.
    #[serde(default, deserialize_with = "true_only")]
    pub(crate) summary: bool,
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
    #[serde(rename = "modelID")]
    model_id: Option<String>,
    #[serde(default)]
    pub(crate) tokens: Tokens,
    #[serde(default)]
    pub(crate) cost: f64,
}

impl MessageInfo {
    pub(crate) fn is_user(&self) -> bool {
        self.role == "user"
    }

    pub(crate) fn is_assistant(&self) -> bool {
        self.role == "assistant"
    }

    /// Nothing more is added to it.
    pub(crate) fn is_completed(&self) -> bool {
        self.time.completed.is_some()
    }

    /// The model ended its answer here, in order: no tool is to be called, nothing is missing.
    pub(crate) fn is_last_word(&self) -> bool {
        self.is_completed()
            && self.error.is_none()
            && self
                .finish
                .as_deref()
                .is_some_and(|finish| !matches!(finish, "tool-calls" | "unknown"))
    }

    /// The model's stream ended without saying why: opencode asks it again and again.
    pub(crate) fn ended_without_reason(&self) -> bool {
        self.is_completed() && self.finish.as_deref() == Some("unknown")
    }

    pub(crate) fn model(&self) -> Option<ModelRef> {
        Some(ModelRef {
            provider: self.provider_id.clone()?,
            model: self.model_id.clone()?,
        })
    }
}

fn true_only<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Summary {
        Flag(bool),
        Other(IgnoredAny),
    }
    Ok(match Summary::deserialize(deserializer)? {
        Summary::Flag(flag) => flag,
        Summary::Other(IgnoredAny) => false,
    })
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct MessageTime {
    completed: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Tokens {
    pub(crate) input: f64,
    pub(crate) output: f64,
    pub(crate) reasoning: f64,
    pub(crate) cache: CachedTokens,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct CachedTokens {
    pub(crate) read: f64,
    pub(crate) write: f64,
}

/// Why something failed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Failure {
    #[serde(default)]
    name: String,
    #[serde(default)]
    data: Value,
}

impl Failure {
    /// Somebody stopped it; that is no failure of the model.
    pub(crate) fn is_abort(&self) -> bool {
        self.name == "MessageAbortedError"
    }

    /// What kind of failure it is, where its name and status say so.
    pub(crate) fn kind(&self) -> Option<FailureKind> {
        match self.name.as_str() {
            "ProviderAuthError" | "ProviderModelNotFoundError" | "ModelNotFoundError" => {
                Some(FailureKind::Setup)
            }
            "APIError" => match self.data.get("statusCode").and_then(Value::as_u64) {
                // Without a status nobody answered.
                None | Some(408 | 429 | 500..) => Some(FailureKind::Provider),
                Some(401..=404) => Some(FailureKind::Setup),
                Some(_) => None,
            },
            _ => None,
        }
    }

    /// What a person is told.
    pub(crate) fn message(&self) -> String {
        let message = self
            .data
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match (message.is_empty(), self.name.as_str()) {
            (false, _) => message.to_owned(),
            (true, "") => "opencode failed without saying why.".to_owned(),
            (true, name) => format!("opencode failed: {name}."),
        }
    }
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Part {
    pub(crate) id: String,
    #[serde(rename = "messageID")]
    pub(crate) message_id: String,
    #[serde(rename = "sessionID")]
    pub(crate) session_id: String,
    #[serde(flatten)]
    pub(crate) body: PartBody,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum PartBody {
    Text(Prose),
    Reasoning(Prose),
    Tool {
        tool: String,
        state: Box<ToolState>,
    },
    StepStart,
    Compaction,
    #[serde(other)]
    Other,
}

/// Text that grows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Prose {
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) time: ProseTime,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ProseTime {
    pub(crate) end: Option<u64>,
}

/// The state of a tool call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ToolState {
    pub(crate) status: ToolStatus,
    #[serde(default)]
    pub(crate) input: Value,
    pub(crate) title: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) error: Option<String>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    pub(crate) time: ToolTime,
}

impl ToolState {
    /// What the tool has written while it runs: the last 30,000 characters of it.
    pub(crate) fn output_window(&self) -> Option<&str> {
        // A window that has slid begins with dots.
        self.metadata
            .get("output")?
            .as_str()
            .map(|window| window.strip_prefix("...\n\n").unwrap_or(window))
    }

    /// A person said no, without saying what to do instead: opencode ends the turn here.
    pub(crate) fn was_turned_down(&self) -> bool {
        let says = |words| {
            self.error
                .as_deref()
                .is_some_and(|error| error.starts_with(words))
        };
        self.status == ToolStatus::Error
            && (says("The user rejected permission") || says("The user dismissed this question"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ToolStatus {
    Pending,
    Running,
    Completed,
    Error,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ToolTime {
    pub(crate) start: Option<u64>,
    pub(crate) end: Option<u64>,
}

/// opencode wants to know whether it may.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct PermissionAsk {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) permission: String,
    #[serde(default)]
    pub(crate) patterns: Vec<String>,
    #[serde(default)]
    pub(crate) always: Vec<String>,
    #[serde(default)]
    pub(crate) metadata: Value,
}

/// opencode has questions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct QuestionAsk {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) questions: Vec<AskedQuestion>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct AskedQuestion {
    #[serde(default)]
    pub(crate) question: String,
    #[serde(default)]
    pub(crate) header: String,
    #[serde(default)]
    pub(crate) options: Vec<AskedOption>,
    #[serde(default)]
    pub(crate) multiple: bool,
    /// opencode takes own words unless this says no.
    pub(crate) custom: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct AskedOption {
    #[serde(default)]
    pub(crate) label: String,
    #[serde(default)]
    pub(crate) description: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_versions_are_accepted() {
        for known in ["1.18.33", "1.18.0", "1.18.40-beta.1"] {
            assert!(accepts_version(known), "{known}");
        }
        for other in [
            "",
            "1.17.9",
            "1.19.0",
            "2.18.1",
            "1.18",
            "1.18.x",
            "1.18.3.4",
            "opencode 1.18.33",
        ] {
            assert!(!accepts_version(other), "{other}");
        }
    }

    #[test]
    fn an_unknown_event_and_an_unknown_part_are_kept_as_such() {
        let event = Event::parse(br#"{"id":"e","type":"moon.rose","properties":{"x":1}}"#).unwrap();
        assert_eq!(
            event,
            Event::Other {
                kind: "moon.rose".to_owned()
            }
        );
        let part = br#"{"type":"message.part.updated","properties":{"part":{"id":"p","messageID":"m","sessionID":"s","type":"hologram","z":{}}}}"#;
        assert!(matches!(
            Event::parse(part).unwrap(),
            Event::Part(Part {
                body: PartBody::Other,
                ..
            })
        ));
        let status =
            br#"{"type":"session.status","properties":{"sessionID":"s","status":{"type":"dreaming","of":"sheep"}}}"#;
        assert_eq!(
            Event::parse(status).unwrap(),
            Event::Status {
                session: "s".to_owned(),
                status: Status::Unknown
            }
        );
        assert!(Event::parse(b"{").is_err());
    }

    #[test]
    fn a_model_may_have_slashes_in_its_name() {
        assert_eq!(
            ModelRef::parse("router/maker/model").map(|model| model.model),
            Some("maker/model".to_owned())
        );
        assert_eq!(
            (
                ModelRef::parse("model"),
                ModelRef::parse("/x"),
                ModelRef::parse("x/")
            ),
            (None, None, None)
        );
    }

    #[test]
    fn a_failure_says_whether_the_provider_or_a_setting_is_to_blame() {
        let kind = |text: &str| serde_json::from_str::<Failure>(text).unwrap().kind();
        for (failure, expected) in [
            (
                r#"{"name":"APIError","data":{"statusCode":429}}"#,
                Some(FailureKind::Provider),
            ),
            (
                r#"{"name":"APIError","data":{"statusCode":529}}"#,
                Some(FailureKind::Provider),
            ),
            (
                r#"{"name":"APIError","data":{"message":"refused"}}"#,
                Some(FailureKind::Provider),
            ),
            (
                r#"{"name":"APIError","data":{"statusCode":401}}"#,
                Some(FailureKind::Setup),
            ),
            (r#"{"name":"APIError","data":{"statusCode":400}}"#, None),
            (r#"{"name":"ProviderAuthError"}"#, Some(FailureKind::Setup)),
            (r#"{"name":"UnknownError"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(kind(failure), expected, "{failure}");
        }
    }
}
