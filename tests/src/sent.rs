//! A request as its sender means it: what the table's rows hold, what message signatures are made over, and
//! what both the machine and Envoy are given.

use crate::request::Request;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// What `Host` says.
    pub authority: String,
    /// All other headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
}

impl Sent {
    /// A request without a body.
    #[must_use]
    pub fn get(authority: &str, target: &str) -> Self {
        Self {
            method: "GET",
            target: target.to_owned(),
            authority: authority.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// A request with a body.
    #[must_use]
    pub fn post(authority: &str, target: &str, body: impl AsRef<[u8]>) -> Self {
        Self { method: "POST", body: Some(body.as_ref().to_vec()), ..Self::get(authority, target) }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// The header's lines, as one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let lines: Vec<_> = self
            .headers
            .iter()
            .filter(|(have, _)| have == name)
            .map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned())
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// The header map as Envoy shows it to the filter.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, Vec<u8>)> {
        let pseudo = [
            (":method", self.method),
            (":path", &self.target),
            (":authority", &self.authority),
            (":scheme", "http"),
        ];
        let pseudo = pseudo.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        pseudo.chain(self.headers.iter().cloned()).collect()
    }

    /// The request as the client of the black-box tests sends it.
    #[must_use]
    pub fn request(&self) -> Request {
        let mut request = match &self.body {
            Some(body) => Request::with_body(self.method, &self.target, body),
            None => Request::new(self.method, &self.target),
        };
        request = request.header("host", &self.authority);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }
}
