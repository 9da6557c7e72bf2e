//! Our own REST API, `/api/watchpost/v1`: its conventions, and every endpoint registered together with its schema.
//!
//! Promises: an endpoint that is not in `openapi.json` does not exist, because both are made from one table; errors are
//! `application/problem+json`; lists are `{"items": […], "next": …}` and are walked by handing `next` back as `cursor`;
//! what can be edited carries an `ETag`, and an edit with `If-Match` of an older one is refused with 412.
//! Not here: who may do what (`appliance`, and the gate in front), other people's dialects (beside this module).

mod audit;
pub mod body;
pub mod paging;
pub mod problem;
mod sessions;
mod tokens;
mod tsdb;
mod users;

use appliance::surface::{Kind, Method, Route, Surface};
use auth::permit::Action;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::routing::{self, MethodRouter};
use bytes::Bytes;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::App;

/// Below this path lies everything of ours.
const ROOT: &str = "/api/watchpost/v1";

/// How a type describes itself.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What an endpoint says about itself.
#[derive(Clone, Copy)]
pub(crate) struct Doc {
    /// One line, as in a table of contents.
    pub(crate) summary: &'static str,
    query: Option<SchemaOf>,
    body: Option<SchemaOf>,
    status: u16,
    answer: Option<SchemaOf>,
}

impl Doc {
    /// Answers with nothing but a status of 204, unless [`Self::answers`] says otherwise.
    pub(crate) const fn new(summary: &'static str) -> Self {
        Self { summary, query: None, body: None, status: 204, answer: None }
    }

    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    pub(crate) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    pub(crate) fn answers<T: JsonSchema>(mut self, status: u16) -> Self {
        self.status = status;
        self.answer = Some(SchemaGenerator::subschema_for::<T>);
        self
    }
}

/// One line of the table.
struct Endpoint {
    method: Method,
    /// Below [`ROOT`].
    path: &'static str,
    /// With [`ROOT`].
    full_path: &'static str,
    action: Action,
    doc: Doc,
    handler: MethodRouter<App>,
}

/// A path with and without the root, so that both are known at compile time.
macro_rules! own_path {
    ($path:literal) => {
        ($path, concat!("/api/watchpost/v1", $path))
    };
}
pub(crate) use own_path;

/// The endpoints as they are registered.
#[derive(Default)]
pub(crate) struct Table {
    endpoints: Vec<Endpoint>,
}

impl Table {
    pub(crate) fn add(
        &mut self,
        method: Method,
        (path, full_path): (&'static str, &'static str),
        action: Action,
        doc: Doc,
        handler: MethodRouter<App>,
    ) {
        self.endpoints.push(Endpoint { method, path, full_path, action, doc, handler });
    }
}

/// All of our own endpoints.
pub(crate) fn surface(app: &App) -> Surface<MethodRouter> {
    let mut table = Table::default();
    users::register(&mut table);
    sessions::register(&mut table);
    tokens::register(&mut table);
    audit::register(&mut table);
    tsdb::register(&mut table);
    let document = Bytes::from(openapi(&table.endpoints).to_string());
    let mut surface = Surface::new();
    for endpoint in table.endpoints {
        let route = Route { path: endpoint.full_path, action: endpoint.action, kind: Kind::Api };
        surface = surface.on(endpoint.method, route, endpoint.handler.with_state(App::clone(app)));
    }
    let (_, path) = own_path!("/openapi.json");
    let serve =
        routing::get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document).into_response() });
    surface.get(Route { path, action: Action::View, kind: Kind::Api }, serve)
}

/// The description of the whole, as OpenAPI 3.1.
fn openapi(endpoints: &[Endpoint]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<problem::Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &problem, &mut generator);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Watchpost",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Users, tokens, sessions, the audit log and the storage of this server. Errors are application/problem+json.",
        },
        "servers": [{"url": ROOT}],
        "security": [{"token": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token, wp_…"},
                "basic": {"type": "http", "scheme": "basic", "description": "Any name, and an API token as password"},
            },
        },
    })
}

fn operation(endpoint: &Endpoint, problem: &Schema, generator: &mut SchemaGenerator) -> Value {
    let doc = &endpoint.doc;
    let mut parameters: Vec<Value> = path_parameters(endpoint.path);
    if let Some(query) = doc.query {
        let name = query(generator);
        parameters.extend(query_parameters(&name, generator));
    }
    let mut success = json!({"description": "done"});
    if let Some(answer) = doc.answer {
        success["content"] = json!({"application/json": {"schema": answer(generator)}});
    }
    let failure =
        json!({"description": "refused or failed", "content": {"application/problem+json": {"schema": problem}}});
    let mut operation = json!({
        "summary": doc.summary,
        "operationId": operation_id(endpoint),
        "parameters": parameters,
        "responses": {doc.status.to_string(): success, "default": failure},
    });
    if let Some(body) = doc.body {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": body(generator)}}});
    }
    operation
}

/// `patch /users/{id}` becomes `patch_users_id`.
fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint.path.split(['/', '{', '}', '-']).filter(|word| !word.is_empty());
    words.fold(endpoint.method.as_str().to_ascii_lowercase(), |id, word| id + "_" + word)
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "integer", "format": "int64"}}))
        .collect()
}

/// Each field of a query's struct is a parameter.
fn query_parameters(schema: &Schema, generator: &SchemaGenerator) -> Vec<Value> {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    let definition = name.and_then(|name| generator.definitions().get(name));
    let Some(fields) = definition.and_then(|schema| schema.get("properties")).and_then(Value::as_object) else {
        return Vec::new();
    };
    let parameter =
        |(name, schema): (&String, &Value)| json!({"name": name, "in": "query", "required": false, "schema": schema});
    fields.iter().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    //! The description, looked at as its readers do: every reference resolves, every operation has its name.

    use std::collections::BTreeSet;

    use super::*;

    fn document() -> Value {
        let mut table = Table::default();
        users::register(&mut table);
        sessions::register(&mut table);
        tokens::register(&mut table);
        audit::register(&mut table);
        tsdb::register(&mut table);
        openapi(&table.endpoints)
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("it points into the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_it_does() {
        let document = document();
        let mut names = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().expect("an object") {
            for (method, operation) in operations.as_object().expect("an object") {
                let name = operation["operationId"].as_str().expect("a name").to_owned();
                assert!(names.insert(name.clone()), "{name} twice");
                assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 8), "{method} {path}");
                let declared = operation["parameters"].as_array().expect("a list");
                for part in path.split('/').filter(|part| part.starts_with('{')) {
                    assert!(
                        declared.iter().any(|p| part == format!("{{{}}}", p["name"].as_str().unwrap_or(""))),
                        "{path}"
                    );
                }
            }
        }
        assert!(names.len() >= 14, "{names:?}");
    }

    #[test]
    fn what_can_be_asked_of_a_list_is_described_field_by_field() {
        let document = document();
        let parameters = document["paths"]["/audit"]["get"]["parameters"].to_string();
        for field in ["who", "what", "result", "from", "to", "cursor", "limit"] {
            assert!(parameters.contains(&format!("\"{field}\"")), "{field}: {parameters}");
        }
    }
}
