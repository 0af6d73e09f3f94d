//! What a function's result means.

use convex::FunctionResult;
use protocol::{CallError, ErrorCode};
use serde_json::Value;
use transport::TransportError;

use crate::address::Deployment;
use crate::{OWN_FUNCTIONS, value};

/// As much of a deployment's own words as is told.
const TOLD_MAX_CHARS: usize = 300;

/// Reads a result.
pub(crate) fn read(
    deployment: &Deployment,
    path: &str,
    result: FunctionResult,
) -> Result<Value, TransportError> {
    match result {
        FunctionResult::Value(value) => value::to_json(value).map_err(|error| {
            TransportError::Lost(format!("the reply of {path} is not JSON ({error})"))
        }),
        FunctionResult::ConvexError(error) => {
            let refusal = value::to_json(error.data).ok();
            match refusal.and_then(|data| serde_json::from_value::<CallError>(data).ok()) {
                Some(refusal) => Err(TransportError::Refused(refusal)),
                None => Err(TransportError::Lost(format!(
                    "the error of {path} does not read as one"
                ))),
            }
        }
        FunctionResult::ErrorMessage(text) => {
            Err(TransportError::Refused(explain(deployment, path, &text)))
        }
    }
}

/// What Convex itself says, in a person's words.
fn explain(deployment: &Deployment, path: &str, text: &str) -> CallError {
    let told = told(text);
    if text.contains("Could not find") && text.contains("function") {
        return CallError::new(
            ErrorCode::NotFound,
            format!(
                "The deployment {deployment} has no function {path}: its functions are older than this program, or were never put there. Run `npx convex deploy` in convex/, or `./start --convex`."
            ),
        );
    }
    if text.contains("ArgumentValidationError") || text.contains("ReturnsValidationError") {
        return CallError::new(
            ErrorCode::UpgradeRequired,
            format!(
                "The deployment {deployment} and this program do not fit together ({path}: {told}). Bring both to the same version: update this program, and run `npx convex deploy` in convex/."
            ),
        );
    }
    if !told.ends_with(REDACTED) {
        return CallError::new(
            ErrorCode::Unavailable,
            format!(
                "The deployment {deployment} could not do {path} now ({told}). If it stays so, `npx convex logs` in convex/ shows why."
            ),
        );
    }
    if !is_of_the_contract(path) {
        return CallError::not_found("function");
    }
    CallError::new(
        ErrorCode::Unavailable,
        format!(
            "The deployment {deployment} could not do {path} and, being one for production, does not say why. Either its functions are older than this program, or were never put there: `npx convex deploy` in convex/ does it. Or one has failed: `npx convex logs` there shows how."
        ),
    )
}

/// All that a deployment in production says of an error that is not the contract's.
const REDACTED: &str = "Server Error";

fn is_of_the_contract(path: &str) -> bool {
    let name = path.replace(['/', ':'], ".");
    protocol::functions::find(&name).is_some() || OWN_FUNCTIONS.contains(&name.as_str())
}

/// The deployment's words on one line, without its prefix in brackets and without where in the code it was.
fn told(text: &str) -> String {
    let text = text.split("\n    at ").next().unwrap_or_default();
    let mut rest = text.trim();
    while let Some((_, after)) = rest
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        rest = after.trim_start();
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    words.join(" ").chars().take(TOLD_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use convex::{ConvexError, Value as ConvexValue};

    use super::*;

    fn error(text: &str) -> CallError {
        let deployment = Deployment::parse("convex+http://127.0.0.1:3210").unwrap();
        let result = read(
            &deployment,
            "machine:list",
            FunctionResult::ErrorMessage(text.to_owned()),
        );
        result.unwrap_err().refusal().unwrap().clone()
    }

    #[test]
    fn a_refusal_of_the_contract_is_passed_on_as_it_is() {
        let data = ConvexValue::Object(BTreeMap::from([
            ("code".to_owned(), ConvexValue::from("stale_epoch")),
            ("message".to_owned(), ConvexValue::from("A newer one.")),
            ("retryAfterMs".to_owned(), ConvexValue::from(250.0)),
        ]));
        let refused = FunctionResult::ConvexError(ConvexError {
            message: "Server Error".to_owned(),
            data,
        });
        let deployment = Deployment::parse("convex+http://127.0.0.1:3210").unwrap();
        let expected = CallError {
            retry_after_ms: Some(250),
            ..CallError::new(ErrorCode::StaleEpoch, "A newer one.")
        };
        assert_eq!(
            read(&deployment, "x:y", refused),
            Err(TransportError::Refused(expected))
        );
    }

    #[test]
    fn an_error_that_is_not_of_the_contract_is_no_refusal() {
        let odd = FunctionResult::ConvexError(ConvexError {
            message: String::new(),
            data: ConvexValue::from("no"),
        });
        let deployment = Deployment::parse("convex+http://127.0.0.1:3210").unwrap();
        assert!(matches!(
            read(&deployment, "x:y", odd),
            Err(TransportError::Lost(_))
        ));
    }

    #[test]
    fn a_deployment_without_the_function_is_told_what_to_run() {
        let error = error(
            "[CONVEX Q(machine:list)] [Request ID: 1] Server Error\nCould not find public function for 'machine:list'. Did you forget to run `npx convex dev` or `npx convex deploy`?",
        );
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.contains("npx convex deploy"), "{error}");
    }

    #[test]
    fn arguments_that_the_deployment_does_not_know_ask_for_an_upgrade() {
        let error = error(
            "[CONVEX M(machine:create)] [Request ID: 1] Server Error\nArgumentValidationError: Object contains extra field `key` that is not in the validator.",
        );
        assert_eq!(error.code, ErrorCode::UpgradeRequired);
        assert!(error.message.contains("extra field `key`"), "{error}");
    }

    #[test]
    fn a_defect_is_told_as_something_that_may_pass() {
        let error =
            error("[Request ID: 0123456789abcdef] Server Error\nUncaught TypeError: x\n    at y");
        assert!(error.is_retryable());
        assert!(
            error
                .message
                .contains("(Server Error Uncaught TypeError: x)"),
            "{error}"
        );
        assert!(error.message.contains("npx convex logs"), "{error}");
    }

    #[test]
    fn what_production_keeps_to_itself_is_told_with_both_remedies() {
        let text = "[Request ID: 0123456789abcdef] Server Error";
        let known = error(text);
        assert!(known.is_retryable());
        assert!(
            known.message.contains("npx convex deploy")
                && known.message.contains("npx convex logs"),
            "{known}"
        );
        let deployment = Deployment::parse("convex+http://127.0.0.1:3210").unwrap();
        assert_eq!(
            explain(&deployment, "no:such", text).code,
            ErrorCode::NotFound
        );
        assert_eq!(
            explain(&deployment, "worker/chat:chunks", text).code,
            ErrorCode::Unavailable
        );
    }
}
