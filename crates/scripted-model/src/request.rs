//! What of a chat completion request the script looks at.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::Value;

/// A chat completion request; fields that the script does not use are ignored.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ChatRequest {
    #[serde(default)]
    pub(crate) messages: Vec<Message>,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(default)]
    tools: Vec<Tool>,
}

/// One message of the conversation.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct Tool {
    function: ToolFunction,
}

#[derive(Debug, Clone, Deserialize)]
struct ToolFunction {
    name: String,
}

impl ChatRequest {
    /// The text that decides: the last user message's.
    pub(crate) fn prompt(&self) -> String {
        self.last_user()
            .map(|index| self.messages[index].text())
            .unwrap_or_default()
    }

    /// What the tools called since the last user message gave back, oldest first.
    pub(crate) fn tool_results(&self) -> Vec<String> {
        let after = self.last_user().map_or(0, |index| index + 1);
        self.messages[after..]
            .iter()
            .filter(|message| message.role == "tool")
            .map(Message::text)
            .collect()
    }

    /// The user messages before the last one, oldest first.
    pub(crate) fn earlier_prompts(&self) -> Vec<String> {
        let end = self.last_user().unwrap_or(0);
        self.messages[..end]
            .iter()
            .filter(|message| message.role == "user")
            .map(Message::text)
            .collect()
    }

    /// Whether the caller offers that tool.
    pub(crate) fn offers(&self, tool: &str) -> bool {
        self.tools
            .iter()
            .any(|offered| offered.function.name == tool)
    }

    /// Whether the caller only wants a title or a summary of the conversation.
    pub(crate) fn side_job(&self) -> Option<SideJob> {
        let says = |words: &str| {
            self.messages
                .iter()
                .any(|message| message.role == "system" && message.text().contains(words))
        };
        if says("You are a title generator") {
            Some(SideJob::Title)
        } else if self.tools.is_empty() && says("summar") {
            Some(SideJob::Summary)
        } else {
            None
        }
    }

    /// Whether any message has these words.
    pub(crate) fn mentions(&self, words: &str) -> bool {
        self.messages
            .iter()
            .any(|message| message.text().contains(words))
    }

    /// The directory that the caller says it works in.
    pub(crate) fn directory(&self) -> Option<String> {
        self.messages
            .iter()
            .filter(|message| message.role == "system")
            .find_map(|message| {
                let text = message.text();
                let rest = text.split_once("Working directory: ")?.1;
                Some(rest.lines().next().unwrap_or_default().trim().to_owned())
            })
    }

    /// The same for the same conversation: tells a retry from a new request.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for message in &self.messages {
            message.role.hash(&mut hasher);
            message.text().hash(&mut hasher);
        }
        hasher.finish()
    }

    fn last_user(&self) -> Option<usize> {
        self.messages
            .iter()
            .rposition(|message| message.role == "user")
    }
}

/// A request that is not part of the conversation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SideJob {
    Title,
    Summary,
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                let texts: Vec<&str> = parts
                    .iter()
                    .filter_map(|part| part.get("text")?.as_str())
                    .collect();
                texts.join("\n")
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
        }
    }
}
