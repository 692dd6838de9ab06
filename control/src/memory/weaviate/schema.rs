//! The class of events: made where it is missing, completed where it is another's.

use attach_core::mirror::CLASS;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::http::{Answer, Http, WRITE};
use crate::memory::terms::Error;

/// A property of the class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Property {
    /// Its name.
    pub(super) name: &'static str,
    /// Its type in Weaviate.
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A moment that is sorted and compared by.
    Date,
    /// A name: equal as a whole or not at all.
    Name,
    /// A text that is searched by words.
    Words,
    /// A number that is only shown.
    Int,
    /// Yes or no, only shown.
    Boolean,
}

/// What an event consists of.
pub(super) const PROPERTIES: &[Property] = &[
    Property { name: "timestamp", kind: Kind::Date },
    Property { name: "event", kind: Kind::Name },
    Property { name: "session_id", kind: Kind::Name },
    Property { name: "user", kind: Kind::Name },
    Property { name: "owner", kind: Kind::Name },
    Property { name: "agent", kind: Kind::Name },
    Property { name: "task_id", kind: Kind::Name },
    Property { name: "role", kind: Kind::Name },
    Property { name: "content", kind: Kind::Words },
    Property { name: "truncated", kind: Kind::Boolean },
    Property { name: "model", kind: Kind::Name },
    Property { name: "tokens", kind: Kind::Int },
    Property { name: "request_id", kind: Kind::Name },
    Property { name: "state", kind: Kind::Name },
    Property { name: "run_id", kind: Kind::Name },
    Property { name: "level", kind: Kind::Name },
];

impl Property {
    fn data_type(self) -> &'static str {
        match self.kind {
            Kind::Date => "date",
            Kind::Name | Kind::Words => "text",
            Kind::Int => "int",
            Kind::Boolean => "boolean",
        }
    }

    /// Types of an existing property that take what this one's values are.
    fn is_taken_by(self, data_type: &str) -> bool {
        match self.kind {
            // `string` is what `text` was called up to version 1.19.
            Kind::Name | Kind::Words => matches!(data_type, "text" | "string") || self.may_be_uuid(data_type),
            // What auto-schema makes of the first number that it sees.
            Kind::Int => matches!(data_type, "int" | "number"),
            Kind::Date | Kind::Boolean => data_type == self.data_type(),
        }
    }

    /// What auto-schema makes of the original's task ids. Tasks have no others.
    fn may_be_uuid(self, data_type: &str) -> bool {
        self.name == "task_id" && data_type == "uuid"
    }

    fn json(self, vectorizer: Option<&str>) -> Value {
        let (filtered, searched) = match self.kind {
            Kind::Date | Kind::Name => (true, false),
            Kind::Words => (false, true),
            Kind::Int | Kind::Boolean => (false, false),
        };
        let mut property = Map::new();
        let mut set = |name: &str, value: Value| property.insert(name.to_owned(), value);
        set("name", self.name.into());
        set("dataType", json!([self.data_type()]));
        set("indexFilterable", filtered.into());
        set("indexSearchable", searched.into());
        match self.kind {
            Kind::Date => drop(set("indexRangeFilters", true.into())),
            Kind::Name => drop(set("tokenization", "field".into())),
            Kind::Words => drop(set("tokenization", "word".into())),
            Kind::Int | Kind::Boolean => {}
        }
        // Of a name there is nothing to understand.
        if let Some(vectorizer) = vectorizer.filter(|name| *name != "none" && self.kind != Kind::Words) {
            set("moduleConfig", json!({ vectorizer: { "skip": true } }));
        }
        Value::Object(property)
    }
}

/// The class as it is made.
fn class(vectorizer: Option<&str>, tenants: bool) -> Value {
    let properties: Vec<Value> = PROPERTIES.iter().map(|property| property.json(vectorizer)).collect();
    let mut class = json!({
        "class": CLASS,
        "description": "What the gateway remembers of prompts, answers, logs and documents.",
        "properties": properties,
        // A user may be called like a stop word. What is not asked for (absence, Weaviate's own times) is not indexed:
        // each event would pay for it.
        "invertedIndexConfig": { "stopwords": { "preset": "none" } },
        "multiTenancyConfig": {
            "enabled": tenants,
            "autoTenantCreation": tenants,
            "autoTenantActivation": tenants,
        },
    });
    // Without one, Weaviate's own DEFAULT_VECTORIZER_MODULE holds.
    if let (Some(vectorizer), Some(class)) = (vectorizer, class.as_object_mut()) {
        class.insert("vectorizer".to_owned(), vectorizer.into());
    }
    class
}

/// Sees to it that the class is there and takes events.
pub(super) async fn prepare(http: &Http, vectorizer: Option<&str>, tenants: bool) -> Result<(), Error> {
    let path = format!("/v1/schema/{CLASS}");
    let ask = async || http.ask(Method::GET, &path, None, None::<&Value>, WRITE).await;
    let mut found = ask().await?;
    if found.status == 404 {
        let class = class(vectorizer, tenants);
        let made = http.ask(Method::POST, "/v1/schema", None, Some(&class), WRITE).await?;
        if made.status != 200 && !is_there_already(&made) {
            return Err(made.refusal("the class MemoryEvent"));
        }
        // Another control may have made it, with other settings.
        found = ask().await?;
    }
    let found: Value = found.json("the question for the class MemoryEvent")?;
    for property in judge(&found, tenants)? {
        let body = property.json(found.get("vectorizer").and_then(Value::as_str));
        let path = format!("{path}/properties");
        let added = http.ask(Method::POST, &path, None, Some(&body), WRITE).await?;
        if added.status != 200 && !is_there_already(&added) {
            return Err(added.refusal(&format!("the property {} of MemoryEvent", property.name)));
        }
    }
    Ok(())
}

fn is_there_already(answer: &Answer) -> bool {
    let said = answer.said();
    said.contains("already exists") || said.contains("already in use")
}

/// The properties that a class lacks, if it can be used.
fn judge(class: &Value, tenants: bool) -> Result<Vec<Property>, Error> {
    let has = class.pointer("/multiTenancyConfig/enabled").and_then(Value::as_bool).unwrap_or_default();
    let what_to_do = match (tenants, has) {
        (true, false) => Some(
            "WEAVIATE_TENANCY=user, and Weaviate's class MemoryEvent is there without tenants, which cannot be changed: \
             unset WEAVIATE_TENANCY, or move the class's objects away and delete it",
        ),
        (false, true) => Some(
            "Weaviate's class MemoryEvent has tenants, which cannot be changed: set WEAVIATE_TENANCY=user, or delete \
             the class",
        ),
        _ => None,
    };
    if let Some(what_to_do) = what_to_do {
        return Err(Error::Refused(what_to_do.to_owned()));
    }
    let auto = |name: &str| class.pointer(&format!("/multiTenancyConfig/{name}")).and_then(Value::as_bool);
    if tenants && auto("autoTenantCreation") != Some(true) {
        return Err(Error::Refused(
            "Weaviate's class MemoryEvent makes no tenants by itself: set its \
             multiTenancyConfig.autoTenantCreation and autoTenantActivation to true"
                .to_owned(),
        ));
    }
    let none = Vec::new();
    let properties = class.get("properties").and_then(Value::as_array).unwrap_or(&none);
    let mut missing = Vec::new();
    for property in PROPERTIES {
        let named = |found: &&Value| found.get("name").and_then(Value::as_str) == Some(property.name);
        let Some(found) = properties.iter().find(named) else {
            missing.push(*property);
            continue;
        };
        let data_type = found.pointer("/dataType/0").and_then(Value::as_str).unwrap_or_default();
        if !property.is_taken_by(data_type) {
            return Err(Error::Refused(format!(
                "the property {} of Weaviate's class MemoryEvent is of type {data_type}, which takes no {}: move the \
                 class's objects away and delete it, or set WEAVIATE_URL to another Weaviate",
                property.name,
                property.data_type(),
            )));
        }
        // What keys every read must be equal as a whole or not at all.
        let tokenization = found.get("tokenization").and_then(Value::as_str);
        if property.name == "owner" && tokenization != Some("field") {
            return Err(Error::Refused(
                "the property owner of Weaviate's class MemoryEvent is not tokenized by field, so that other owners \
                 would match: move the class's objects away and delete it"
                    .to_owned(),
            ));
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_what_is_needed() {
        for tenants in [false, true] {
            let class = class(None, tenants);
            assert_eq!(judge(&class, tenants).unwrap().len(), 0);
            assert!(class.get("vectorizer").is_none());
            let error = judge(&class, !tenants).unwrap_err().to_string();
            assert!(error.contains("WEAVIATE_TENANCY"), "{error}");
        }
        let made = class(Some("text2vec-ollama"), false);
        assert_eq!(made["vectorizer"], "text2vec-ollama");
        let skipped = made["properties"].as_array().unwrap().iter();
        let skipped = skipped.filter(|property| property["moduleConfig"]["text2vec-ollama"]["skip"] == true);
        assert_eq!(skipped.count(), PROPERTIES.len() - 1);
    }

    #[test]
    fn an_existing_class_lacks_something_or_cannot_be_used() {
        let of = |properties: Value| json!({ "class": "MemoryEvent", "properties": properties });
        let missing =
            judge(&of(json!([{"name": "user", "dataType": ["text"], "tokenization": "word"}])), false);
        let missing: Vec<_> = missing.unwrap().into_iter().map(|property| property.name).collect();
        assert!(missing.contains(&"owner") && !missing.contains(&"user"), "{missing:?}");
        for (property, names) in [
            (json!({"name": "timestamp", "dataType": ["number"]}), "timestamp"),
            (json!({"name": "tokens", "dataType": ["text"]}), "tokens"),
            (json!({"name": "content", "dataType": ["text[]"]}), "content"),
            (json!({"name": "owner", "dataType": ["text"], "tokenization": "word"}), "owner"),
        ] {
            let error = judge(&of(json!([property])), false).unwrap_err();
            assert!(matches!(&error, Error::Refused(text) if text.contains(names)), "{error}");
        }
        for taken in ["int", "number"] {
            assert!(judge(&of(json!([{"name": "tokens", "dataType": [taken]}])), false).is_ok());
        }
    }
}
