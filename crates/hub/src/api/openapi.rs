//! `/openapi.json`: the contract as OpenAPI 3.1, made from the table of functions.

use std::sync::OnceLock;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use protocol::{
    CallError,
    functions::{Access, FUNCTIONS, FunctionInfo, Kind},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{auth::SIGN_IN_PATHS, calls};

/// The routes that are neither calls nor about signing in, with their methods and what they do.
pub(super) const FIXED_PATHS: &[(&str, &str, &str)] = &[
    (
        "get",
        "/v1/watch",
        "Live values as server-sent events. The query `watches` is a JSON array of {id, function, args}, at most 32. Events: `value` {id, value}, the whole value at first and after each change; `error` {id, error}, after which that watch has ended. A comment every 15 s.",
    ),
    (
        "get",
        "/v1/streams/turn/{turnId}",
        "A turn's chunks, by the Durable Streams protocol: ?offset=…&live=sse|long-poll.",
    ),
    (
        "head",
        "/v1/streams/turn/{turnId}",
        "Where the turn's chunks end.",
    ),
    (
        "post",
        "/v1/streams/turn/{turnId}",
        "Appends chunks: the turn's machine, with Producer-Id, Producer-Epoch and Producer-Seq.",
    ),
    (
        "get",
        "/v1/health",
        "Whether the backend lives, and its versions. Needs no credential.",
    ),
    ("get", "/openapi.json", "This description."),
];

pub(super) async fn serve() -> Response {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string().into());
    let mut response = Response::new(Body::from(text.clone()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// The whole description.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<CallError>();
    let mut paths = Map::new();
    for function in FUNCTIONS {
        add(
            &mut paths,
            "post",
            &calls::path(function),
            call(function, &mut generator),
        );
    }
    for (method, path, text) in FIXED_PATHS {
        add(&mut paths, method, path, fixed(path, text));
    }
    for (method, path) in SIGN_IN_PATHS {
        add(&mut paths, method, path, sign_in(path));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Opencode Orchestrator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Calls, watches and streams. Fields are only ever added; clients ignore what they do not know.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Refused": {
                    "description": "Refused: the code says what kind of refusal, the message is for a person.",
                    "content": { "application/json": { "schema": error } },
                },
            },
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key", "in": "header", "required": true,
                    "description": "One for each intent: `idk_` and 26 characters. The same key with the same body gives the first reply again; with another body, a conflict.",
                    "schema": { "type": "string", "pattern": "^idk_[0-9a-hjkmnp-tv-z]{26}$" },
                },
            },
            "securitySchemes": {
                "personCookie": { "type": "apiKey", "in": "cookie", "name": "orchestrator_session_<port>" },
                "personToken": { "type": "http", "scheme": "bearer", "description": "`opt_…`" },
                "machineToken": { "type": "http", "scheme": "bearer", "description": "`omc_…`, from machine.connect" },
            },
        },
    })
}

fn add(paths: &mut Map<String, Value>, method: &str, path: &str, operation: Value) {
    let entry = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(method.to_owned(), operation);
    }
}

fn call(function: &FunctionInfo, generator: &mut SchemaGenerator) -> Value {
    let security = match function.access {
        Access::Anyone => json!([]),
        Access::Person => person(),
        Access::Machine => json!([{ "machineToken": [] }]),
    };
    let mut operation = json!({
        "operationId": function.name,
        "summary": function.doc,
        "security": security,
        "requestBody": {
            "required": false,
            "content": { "application/json": { "schema": (function.args_schema)(generator) } },
        },
        "responses": {
            "200": {
                "description": "The reply.",
                "content": { "application/json": { "schema": (function.reply_schema)(generator) } },
            },
            "default": refused(),
        },
    });
    if (function.kind, function.access) == (Kind::Mutation, Access::Person) {
        operation["parameters"] = json!([{ "$ref": "#/components/parameters/IdempotencyKey" }]);
    }
    operation
}

fn fixed(path: &str, text: &str) -> Value {
    let mut operation = json!({
        "summary": text,
        "responses": { "200": { "description": "Done." }, "default": refused() },
    });
    if path.contains("{turnId}") {
        operation["parameters"] = json!([{ "name": "turnId", "in": "path", "required": true, "schema": { "type": "string" } }]);
    }
    if path == "/v1/watch" {
        operation["parameters"] = json!([{ "name": "watches", "in": "query", "required": true, "schema": { "type": "string" } }]);
    }
    operation
}

fn sign_in(path: &str) -> Value {
    let text = |properties: &[(&str, &str)], required: &[&str]| {
        let properties: Map<String, Value> = properties
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind })))
            .collect();
        json!({ "type": "object", "properties": properties, "required": required })
    };
    let (summary, body) = match path {
        "/v1/auth/sign-in" => (
            "Signs a person in with the token of a link, once, or with the password. Sets the cookie.",
            Some(text(&[("token", "string"), ("password", "string")], &[])),
        ),
        "/v1/auth/me" => ("Who is signed in: {person: {id, name}, hasPassword}.", None),
        "/v1/auth/password" => (
            "Sets the password, and ends the person's other browser sign-ins.",
            Some(text(
                &[("password", "string"), ("current", "string")],
                &["password"],
            )),
        ),
        "/v1/auth/sign-out" => ("Ends this sign-in and what is open with it.", None),
        "/v1/auth/link" => (
            "A single-use link that signs its bearer in: {url, expiresAt}.",
            None,
        ),
        "/v1/auth/token" => (
            "A token for programs: {id, token}. It is shown this once.",
            Some(text(&[("name", "string")], &[])),
        ),
        "/v1/auth/sign-ins" => (
            "The person's sign-ins: {signIns: [{id, kind, name, createdAt, usedAt, isCurrent}]}.",
            None,
        ),
        _ => (
            "Ends one of the person's sign-ins and what is open with it.",
            Some(text(&[("id", "string")], &["id"])),
        ),
    };
    let mut operation = json!({
        "summary": summary,
        "security": if path == "/v1/auth/sign-in" { json!([]) } else { person() },
        "responses": { "200": { "description": "Done." }, "default": refused() },
    });
    if let Some(schema) = body {
        operation["requestBody"] =
            json!({ "content": { "application/json": { "schema": schema } } });
    }
    operation
}

fn person() -> Value {
    json!([{ "personCookie": [] }, { "personToken": [] }])
}

fn refused() -> Value {
    json!({ "$ref": "#/components/responses/Refused" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_route_and_every_reference_leads_somewhere() {
        let document = document();
        for function in FUNCTIONS {
            let operation = &document["paths"][format!("/v1/{}", function.name)]["post"];
            assert_eq!(operation["operationId"], function.name);
        }
        let others = FIXED_PATHS
            .iter()
            .map(|(method, path, _)| (*method, *path))
            .chain(SIGN_IN_PATHS.iter().copied());
        for (method, path) in others {
            assert!(
                document["paths"][path][method].is_object(),
                "{method} {path}"
            );
        }
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > FUNCTIONS.len());
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    fn collect<'d>(value: &'d Value, into: &mut Vec<&'d str>) {
        match value {
            Value::Object(members) => {
                into.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| collect(member, into));
            }
            Value::Array(elements) => elements.iter().for_each(|element| collect(element, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
