//! A local OpenAI-compatible model that follows a script: for the demo and for tests.
//!
//! It answers by the last user message. A message that is not a directive gets a short Markdown answer that
//! says what one can type. The same conversation always gets the same answer: there is no randomness, and
//! the only thing kept between requests is how often one and the same request came (for `cut` and `fail`).
//!
//! | the message | the answer |
//! | --- | --- |
//! | `say TEXT` | that text |
//! | `count N [MS]` | `1 2 3 … N`, one number per delta, MS milliseconds apart |
//! | `long` | a long Markdown answer: headings, a list, a table, a code block |
//! | `think TEXT` | thoughts first (`reasoning_content`), then the text |
//! | `run COMMAND` | calls the tool `bash`, then reports what it said |
//! | `write FILE TEXT` | calls the tool `write`, then reports |
//! | `read FILE` | calls the tool `read`, then reports |
//! | `ask` | calls the tool `question` with two questions, then reports the answers |
//! | `todo` | calls the tool `todowrite` with three entries |
//! | `task MESSAGE` | calls the tool `task`: a sub-agent gets that message |
//! | `steps N` | N tool calls (`bash`, `echo step I`), one after the other |
//! | `slow MS` | one word each MS milliseconds, until stopped (at most [`SLOW_MAX_WORDS`] words) |
//! | `recall` | the earlier user messages that are in the request, as a list |
//! | `fail STATUS [TIMES]` | that HTTP status; only the first TIMES times if given |
//! | `cut` | breaks off in mid-stream once, then answers |
//! | `overflow` | says that the conversation is too long, until the caller has summarised it |
//! | `nofinish` | text without a `finish_reason` |
//! | `hostile` | HTML, scripts, `javascript:` links, control bytes, a very long line |
//! | `help` | the list of what one can type |
//!
//! Requests that only ask for a title or a summary get a fast short answer.

mod markdown;
mod request;
mod script;
mod server;

pub use script::SLOW_MAX_WORDS;
pub use server::{Asked, MODEL_ID, ModelConfig, PROVIDER_ID, ScriptedModel};
