//! An answer that the filter gives itself, instead of the upstream.

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// The HTTP status code.
    pub status: u16,
    /// Header names, lower case, and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body; JSON, as every reply of the gateway.
    pub body: String,
}

impl LocalReply {
    /// A JSON body with nothing but `detail` in it, which is how the original said what was wrong.
    #[must_use]
    pub fn detail(status: u16, detail: &str) -> Self {
        Self::json(status, serde_json::json!({ "detail": detail }).to_string())
    }

    /// A JSON body.
    #[must_use]
    pub fn json(status: u16, body: String) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], body }
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
