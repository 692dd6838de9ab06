//! What the filter asks control about limits: `POST /internal/quota`.
//!
//! A worker reports what it has spent, gives back what it does not need, and asks for more, about several
//! accounts at once; it gets all that it needs or nothing. The same `id` again gets the same answer and
//! changes nothing, so that a worker that heard nothing can ask again.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Key, MAX_LIMITS, Window};
use crate::crypto::sha256;

/// Where control answers.
pub const PATH: &str = "/internal/quota";
/// The largest request or answer, in bytes: every field at its longest.
pub const MAX_BYTES: usize = 128 * 1024;
/// The longest id, in characters.
pub const MAX_ID: usize = 64;
/// The most moments at which an account's tokens were spent.
pub const MAX_SPENT: usize = 64;

/// What a worker asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `<boot nonce>-<worker>-<number>`: nobody else's, and never used again.
    pub id: Box<str>,
    /// `<boot nonce>-<worker>`: who holds the leases.
    pub worker: Box<str>,
    /// The accounts, none of them twice.
    pub accounts: Vec<Account>,
}

/// What is asked about one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Which.
    pub key: Key,
    /// The limit.
    pub tokens: u64,
    /// The time that the limit is about.
    pub window: Window,
    /// Of the worker's lease, what was used: seconds since the Unix epoch, and how many tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<(u64, u64)>,
    /// Of the worker's lease, what it does not need.
    #[serde(default)]
    pub give_back: u64,
    /// The least that is to be added to the lease.
    #[serde(default)]
    pub need: u64,
    /// The most.
    #[serde(default)]
    pub want: u64,
}

/// What control answers, about the accounts in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AnswerFields", into = "AnswerFields")]
pub enum Answer {
    /// All that was needed.
    Granted {
        /// What was added to each lease.
        granted: Vec<u64>,
        /// How the accounts stand.
        left: Vec<Left>,
    },
    /// Nothing was added, since one account has not enough; reports were taken all the same.
    Refused {
        /// Which, and when to ask again.
        refused: Refused,
        /// How the accounts stand.
        left: Vec<Left>,
    },
}

/// Which account has not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Its place in the request.
    pub account: usize,
    /// In how many seconds there may be enough; nothing if the limit itself is less.
    pub retry_after: Option<u64>,
}

/// How an account stands after the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Used in the window that ends now.
    pub used: u64,
    /// In open leases, the worker's own among them.
    pub held: u64,
    /// In how many seconds all that was used has left the window.
    pub reset: u64,
    /// The worker's own lease.
    pub lease: u64,
}

/// A request or an answer that says nothing that could be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError(Box<str>);

impl WireError {
    fn new(problem: impl core::fmt::Display) -> Self {
        Self(problem.to_string().into())
    }
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for WireError {}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// [`WireError`], for a 400.
    pub fn parse(text: &[u8]) -> Result<Self, WireError> {
        let request: Self = read(text)?;
        for id in [&request.id, &request.worker] {
            if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(WireError::new(format_args!("an id must be 1 to {MAX_ID} ASCII characters")));
            }
        }
        if request.accounts.is_empty() || request.accounts.len() > MAX_LIMITS {
            return Err(WireError::new(format_args!("accounts: 1 to {MAX_LIMITS} are possible")));
        }
        let mut keys: Vec<Key> = request.accounts.iter().map(|account| account.key).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(WireError::new("accounts: one is there twice"));
        }
        for account in &request.accounts {
            account.check().map_err(WireError::new)?;
        }
        Ok(request)
    }

    /// The request's text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What an [`Entry`](super::entry::Entry) knows the worker by.
    #[must_use]
    pub fn worker_number(&self) -> u64 {
        worker_number(&self.worker)
    }
}

/// What an [`Entry`](super::entry::Entry) knows a worker by: eight bytes of the SHA-256 of its name.
#[must_use]
pub fn worker_number(worker: &str) -> u64 {
    let hash = sha256(&[worker.as_bytes()]);
    hash.first_chunk::<8>().map_or(0, |half| u64::from_le_bytes(*half))
}

impl Account {
    fn check(&self) -> Result<(), &'static str> {
        match self.window {
            Window::Sliding(1..=Window::MAX_SLIDING) | Window::Day | Window::Month => {}
            Window::Sliding(_) => return Err("window: from a second to a year"),
        }
        if self.tokens == 0 {
            return Err("tokens: at least one");
        }
        if self.spent.len() > MAX_SPENT {
            return Err("spent: too many moments");
        }
        if self.want < self.need {
            return Err("want: less than need");
        }
        Ok(())
    }
}

impl Answer {
    /// Reads the answer to a request about so many accounts.
    ///
    /// # Errors
    /// [`WireError`]; nobody knows then what control has done, and the same request must be sent again.
    pub fn parse(text: &[u8], accounts: usize) -> Result<Self, WireError> {
        let answer = Self::from_json(text)?;
        if !answer.is_about(accounts) {
            return Err(WireError::new("the answer is about other accounts"));
        }
        Ok(answer)
    }

    /// Reads an answer, whatever request it is to: a [`Book`](super::book::Book) knows which one.
    ///
    /// # Errors
    /// [`WireError`]; nobody knows then what control has done.
    pub fn from_json(text: &[u8]) -> Result<Self, WireError> {
        read(text)
    }

    /// Whether it can be the answer to a request about so many accounts.
    #[must_use]
    pub fn is_about(&self, accounts: usize) -> bool {
        match self {
            Self::Granted { granted, left } => granted.len() == accounts && left.len() == accounts,
            Self::Refused { refused, left } => refused.account < accounts && left.len() == accounts,
        }
    }

    /// The answer's text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// How the accounts stand.
    #[must_use]
    pub fn left(&self) -> &[Left] {
        match self {
            Self::Granted { left, .. } | Self::Refused { left, .. } => left,
        }
    }
}

fn read<T: for<'a> Deserialize<'a>>(text: &[u8]) -> Result<T, WireError> {
    if text.len() > MAX_BYTES {
        return Err(WireError::new(format_args!("more than {MAX_BYTES} bytes")));
    }
    serde_json::from_slice(text).map_err(WireError::new)
}

/// An answer's members.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    granted: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    left: Vec<Left>,
}

impl TryFrom<AnswerFields> for Answer {
    type Error = &'static str;

    fn try_from(fields: AnswerFields) -> Result<Self, Self::Error> {
        let AnswerFields { granted, refused, left } = fields;
        match (granted, refused) {
            (Some(granted), None) => Ok(Self::Granted { granted, left }),
            (None, Some(refused)) => Ok(Self::Refused { refused, left }),
            _ => Err("either granted or refused must be there"),
        }
    }
}

impl From<Answer> for AnswerFields {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Granted { granted, left } => Self { granted: Some(granted), refused: None, left },
            Answer::Refused { refused, left } => Self { granted: None, refused: Some(refused), left },
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("32 lower-case hexadecimal digits make a key"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &str = r#"{"id":"ab12-0-1","worker":"ab12-0","accounts":[{"key":"000102030405060708090a0b0c0d0e0f","tokens":1000,"window":{"sliding":60},"spent":[[1700000000,12]],"give_back":1,"need":5,"want":62}]}"#;

    #[test]
    fn a_request_is_read_and_written_as_the_protocol_has_it() {
        let request = Request::parse(REQUEST.as_bytes()).unwrap();
        assert_eq!(request.accounts[0].spent, [(1_700_000_000, 12)]);
        assert_eq!(String::from_utf8(request.to_json()).unwrap(), REQUEST);
    }

    #[test]
    fn what_a_request_leaves_out_is_nothing() {
        let text = r#"{"id":"a","worker":"b","accounts":[{"key":"000102030405060708090a0b0c0d0e0f","tokens":1,"window":"month"}]}"#;
        let request = Request::parse(text.as_bytes()).unwrap();
        let account = &request.accounts[0];
        assert_eq!((account.give_back, account.need, account.want, account.spent.len()), (0, 0, 0, 0));
    }

    #[test]
    fn a_request_beyond_its_bounds_is_refused() {
        let account = REQUEST.split_once('[').unwrap().1.strip_suffix("]}").unwrap();
        for (from, to) in [
            ("ab12-0-1", ""),
            ("ab12-0-1", &"a".repeat(MAX_ID + 1)),
            ("ab12-0-1", "é"),
            ("ab12-0-1", "a b"),
            (r#""worker":"ab12-0""#, r#""worker":"""#),
            (account, ""),
            (account, &[account, account].join(",")),
            (r#""tokens":1000"#, r#""tokens":0"#),
            (r#""tokens":1000"#, r#""tokens":-1"#),
            (r#""tokens":1000"#, r#""tokens":1.5"#),
            (r#"{"sliding":60}"#, r#"{"sliding":0}"#),
            (r#"{"sliding":60}"#, r#"{"sliding":31622401}"#),
            (r#"{"sliding":60}"#, r#""week""#),
            (r#""want":62"#, r#""want":4"#),
            (r#""want":62"#, r#""want":62,"more":1"#),
            ("[[1700000000,12]]", &format!("[{}]", vec!["[1,1]"; MAX_SPENT + 1].join(","))),
            ("000102", "00010G"),
        ] {
            assert!(REQUEST.contains(from), "{from}");
            let text = REQUEST.replace(from, to);
            assert!(Request::parse(text.as_bytes()).is_err(), "{text}");
        }
        let many = (0..=MAX_LIMITS).map(|n| account.replace("000102", &format!("{n:06x}")));
        let text = REQUEST.replace(account, &many.collect::<Vec<_>>().join(","));
        assert!(Request::parse(text.as_bytes()).is_err());
        assert!(Request::parse(&vec![b' '; MAX_BYTES + 1]).is_err());
    }

    #[test]
    fn an_answer_is_read_and_written_as_the_protocol_has_it() {
        let granted = r#"{"granted":[62],"left":[{"used":12,"held":62,"reset":61,"lease":62}]}"#;
        let refused = r#"{"refused":{"account":0,"retry_after":17},"left":[{"used":1000,"held":0,"reset":61,"lease":0}]}"#;
        let never = r#"{"refused":{"account":0,"retry_after":null},"left":[{"used":0,"held":0,"reset":0,"lease":0}]}"#;
        for text in [granted, refused, never] {
            let answer = Answer::parse(text.as_bytes(), 1).unwrap();
            assert_eq!(String::from_utf8(answer.to_json()).unwrap(), text);
            assert!(Answer::parse(text.as_bytes(), 2).is_err());
        }
        for bad in [
            r#"{"left":[]}"#,
            r#"{"granted":[],"refused":{"account":0,"retry_after":1},"left":[]}"#,
            r#"{"refused":{"account":1,"retry_after":1},"left":[{"used":0,"held":0,"reset":0,"lease":0}]}"#,
            "",
            "null",
        ] {
            assert!(Answer::parse(bad.as_bytes(), 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_largest_request_fits() {
        let account = |n: usize| Account {
            key: Key([u8::try_from(n).unwrap(); 16]),
            tokens: u64::MAX,
            window: Window::Sliding(Window::MAX_SLIDING),
            spent: vec![(u64::MAX, u64::MAX); MAX_SPENT],
            give_back: u64::MAX,
            need: u64::MAX,
            want: u64::MAX,
        };
        let request = Request {
            id: "i".repeat(MAX_ID).into(),
            worker: "w".repeat(MAX_ID).into(),
            accounts: (0..MAX_LIMITS).map(account).collect(),
        };
        assert_eq!(Request::parse(&request.to_json()), Ok(request));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_without_a_panic(bytes: Vec<u8>, text in "[\\[\\]{}\":,a-z0-9-]{0,80}") {
            let _ = (Request::parse(&bytes), Answer::parse(&bytes, 1));
            let _ = (Request::parse(text.as_bytes()), Answer::parse(text.as_bytes(), 1));
        }
    }
}
