//! What agents write to be read by others: immutable versions, each with its parent and the hash of its content.
//!
//! They lie in a database of their own in the state folder under every backend, a Weaviate included: a document must
//! be read back byte by byte, its shares are checked with it in one transaction, and a megabyte that is written holds
//! up neither limits nor events. Whoever has a document's id has no right by it.

use attach_core::clock::UnixMillis;
use attach_core::clock::date::Rfc3339;
use attach_core::crypto::sha256_hex;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};
use serde::{Serialize, Serializer};

use std::path::Path;

use super::mem_id::MemId;
use super::shares::{self, Shares};
use crate::store::{self, OpenError, Schema, Store, rusqlite};

mod forget;

/// The database's file in the state folder.
pub const FILE_NAME: &str = "documents.db";

const SCHEMA: Schema =
    Schema { steps: &[include_str!("docs/0001_documents.sql")], writing: &[SECURE_DELETE], reading: &[] };
/// What was forgotten is overwritten.
const SECURE_DELETE: (&str, &str) = ("secure_delete", "ON");

/// The longest content, in bytes.
pub const MAX_CONTENT: usize = 1024 * 1024;
/// The most versions of an owner's, forgotten ones that later ones name included.
const MAX_ROWS: u64 = 100_000;
/// The most content of an owner's, in bytes.
const MAX_OWNED: u64 = 1024 * 1024 * 1024;
/// The most versions in a line.
const MAX_VERSION: u32 = 10_000;

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The verified caller.
    pub user: String,
    /// Whether it may read everybody's (`mem:read:all`).
    pub is_auditor: bool,
}

/// What is to be kept, redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    /// The verified caller, who is its owner from now on.
    pub owner: String,
    /// Who acts for the caller.
    pub agent: String,
    /// The version that it follows.
    pub parent: Option<MemId>,
    /// What it is called.
    pub title: String,
    /// What its content is, as its author says.
    pub content_type: String,
    /// The content.
    pub content: String,
    /// The client's name for the request: said again, nothing is written again.
    pub retry_key: Option<String>,
}

impl core::fmt::Debug for Draft {
    /// Nothing of what it says.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Draft").field("bytes", &self.content.len()).finish_non_exhaustive()
    }
}

/// What is known of a version beside its content.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its name.
    pub mem_id: MemId,
    /// Its number in its line, from 1.
    pub version: u32,
    /// The version that it follows.
    pub parent: Option<MemId>,
    /// Hexadecimal SHA-256 of its content.
    pub sha256: String,
    /// The length of its content, in bytes.
    pub bytes: u64,
    /// What it is called.
    pub title: String,
    /// What its content is.
    pub content_type: String,
    /// Whose it is.
    pub owner: String,
    /// Who acted for the owner.
    pub agent: String,
    /// When it was written.
    #[serde(serialize_with = "write_time")]
    pub created: UnixMillis,
}

impl core::fmt::Debug for Version {
    /// Nothing of what it says.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Version")
            .field("mem_id", &self.mem_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

fn write_time<S: Serializer>(time: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Rfc3339(time.0))
}

/// A version with its content.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// What is known of it.
    #[serde(flatten)]
    pub version: Version,
    /// What it says.
    pub content: String,
}

impl core::fmt::Debug for Document {
    /// Nothing of what it says.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Document").field(&self.version).finish()
    }
}

/// One of the versions before another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Past {
    /// It can be read.
    Readable(Box<Version>),
    /// It was forgotten, or is not for this reader; which of them is not told.
    Gap {
        /// Its number.
        version: u32,
        /// `true`.
        gap: bool,
    },
}

/// Why a document was not kept or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The author cannot read the version that it is to follow.
    #[error("parent must be the mem_id of a document that you wrote, or that a task gave you")]
    NoParent,
    /// The line is too long.
    #[error("A document may have {MAX_VERSION} versions: begin a new one, without parent")]
    LongChain,
    /// The client's name for the request belongs to another one.
    #[error("Idempotency-Key was given with another document before: use a new one")]
    OtherWork,
    /// The owner has too much.
    #[error("Your documents take all the room there is for one user (1 GiB, 100,000 versions): delete some")]
    Full,
    /// There are no random numbers.
    #[error("there are no random numbers")]
    Randomness,
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// All documents; cheap to clone.
#[derive(Clone, Debug)]
pub struct Documents {
    store: Store,
}

impl Documents {
    /// Opens the database at a path, and makes it where there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open_as(path, &SCHEMA)? })
    }

    /// Who else may read them.
    #[must_use]
    pub fn shares(&self) -> Shares {
        Shares::new(self.store.clone())
    }

    /// Keeps a new version at `now`. When it answers, the version survives this process.
    ///
    /// # Errors
    /// See [`Error`]; nothing was kept. After a store's error nobody can tell.
    pub async fn write(&self, draft: Draft, now: UnixMillis) -> Result<Version, Error> {
        let mem_id = MemId::random().ok_or(Error::Randomness)?;
        let digits = sha256_hex(&[draft.content.as_bytes()]);
        let sha256: String = digits.into_iter().map(char::from).collect();
        self.store.write(move |connection| write(connection, mem_id, sha256, &draft, now)).await
    }

    /// A version; `None`: there is none, or none for this reader.
    ///
    /// # Errors
    /// The store cannot, or not in time.
    pub async fn read(&self, reader: Reader, mem_id: MemId) -> Result<Option<Document>, Error> {
        self.store
            .read(move |connection| {
                let Some(Found { version, is_forgotten: false }) = find(connection, &mem_id)? else {
                    return Ok(None);
                };
                if !may_read(connection, &reader, &version)? {
                    return Ok(None);
                }
                let mut content =
                    connection.prepare_cached("SELECT content FROM documents WHERE mem_id = ?")?;
                let content = content.query_row([mem_id.as_str()], |row| row.get(0))?;
                Ok(Some(Document { version, content }))
            })
            .await
    }

    /// A version and those before it, newest first, at most `limit`; only such with a number below `before`. `None`:
    /// the version is none for this reader.
    ///
    /// # Errors
    /// The store cannot, or not in time.
    pub async fn history(
        &self,
        reader: Reader,
        mem_id: MemId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Option<Vec<Past>>, Error> {
        self.store
            .read(move |connection| {
                let first = find(connection, &mem_id)?.filter(|row| !row.is_forgotten);
                let Some(first) = first else { return Ok(None) };
                if !may_read(connection, &reader, &first.version)? {
                    return Ok(None);
                }
                let (mut past, mut next) = (Vec::new(), Some(first));
                while let Some(row) = next.take()
                    && past.len() < limit
                {
                    let parent = row.version.parent.clone();
                    if before.is_none_or(|before| row.version.version < before) {
                        let is_readable = !row.is_forgotten && may_read(connection, &reader, &row.version)?;
                        past.push(if is_readable {
                            Past::Readable(Box::new(row.version))
                        } else {
                            Past::Gap { version: row.version.version, gap: true }
                        });
                    }
                    next = parent.map(|parent| find(connection, &parent)).transpose()?.flatten();
                }
                Ok(Some(past))
            })
            .await
    }

    /// An owner's versions, newest first, at most `limit`; only those that come after `before` in that order.
    ///
    /// # Errors
    /// The store cannot, or not in time.
    pub async fn list(
        &self,
        owner: String,
        before: Option<(UnixMillis, String)>,
        limit: usize,
    ) -> Result<Vec<Version>, Error> {
        self.store
            .read(move |connection| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM documents WHERE owner = :owner AND forgotten = 0 AND created <= :at \
                     AND (created < :at OR mem_id < :id) ORDER BY created DESC, mem_id DESC LIMIT :limit"
                );
                let (at, id) = before.unwrap_or((UnixMillis(i64::MAX.unsigned_abs()), String::new()));
                let limit = u32::try_from(limit).unwrap_or(u32::MAX);
                let mut query = connection.prepare_cached(&sql)?;
                let asked = named_params! { ":owner": owner, ":at": at.0, ":id": id, ":limit": limit };
                let found = query.query_map(asked, |row| Ok(row_of(row)?.version))?;
                Ok(found.collect::<Result<_, _>>()?)
            })
            .await
    }
}

const COLUMNS: &str =
    "mem_id, version, parent, sha256, bytes, title, content_type, owner, agent, created, forgotten";

/// A row of [`COLUMNS`].
struct Found {
    version: Version,
    is_forgotten: bool,
}

fn row_of(row: &Row<'_>) -> Result<Found, rusqlite::Error> {
    let version = Version {
        mem_id: MemId::stored(row.get(0)?),
        version: row.get(1)?,
        parent: row.get::<_, Option<String>>(2)?.map(MemId::stored),
        sha256: row.get(3)?,
        bytes: row.get(4)?,
        title: row.get(5)?,
        content_type: row.get(6)?,
        owner: row.get(7)?,
        agent: row.get(8)?,
        created: UnixMillis(row.get(9)?),
    };
    Ok(Found { version, is_forgotten: row.get(10)? })
}

fn find(connection: &Connection, mem_id: &MemId) -> Result<Option<Found>, rusqlite::Error> {
    let sql = format!("SELECT {COLUMNS} FROM documents WHERE mem_id = ?");
    connection.prepare_cached(&sql)?.query_row([mem_id.as_str()], row_of).optional()
}

fn may_read(connection: &Connection, reader: &Reader, version: &Version) -> Result<bool, rusqlite::Error> {
    Ok(reader.is_auditor
        || version.owner == reader.user
        || shares::is_party(connection, &version.mem_id, &reader.user)?)
}

fn write(
    connection: &Connection,
    mem_id: MemId,
    sha256: String,
    draft: &Draft,
    now: UnixMillis,
) -> Result<Version, Error> {
    if let Some(key) = &draft.retry_key {
        let sql = format!("SELECT {COLUMNS} FROM documents WHERE owner = ? AND retry_key = ?");
        let before = connection.prepare_cached(&sql)?.query_row((&draft.owner, key), row_of).optional()?;
        if let Some(Found { version, .. }) = before {
            let is_same = version.sha256 == sha256
                && version.parent == draft.parent
                && version.title == draft.title
                && version.content_type == draft.content_type;
            return if is_same { Ok(version) } else { Err(Error::OtherWork) };
        }
    }
    let number = match &draft.parent {
        None => 1,
        Some(parent) => {
            // To audit is no right to continue what was read.
            let author = Reader { user: draft.owner.clone(), is_auditor: false };
            let parent = find(connection, parent)?.filter(|row| !row.is_forgotten).ok_or(Error::NoParent)?;
            if !may_read(connection, &author, &parent.version)? {
                return Err(Error::NoParent);
            }
            parent.version.version.saturating_add(1)
        }
    };
    if number > MAX_VERSION {
        return Err(Error::LongChain);
    }
    let version = Version {
        mem_id,
        version: number,
        parent: draft.parent.clone(),
        sha256,
        bytes: u64::try_from(draft.content.len()).unwrap_or(u64::MAX),
        title: draft.title.clone(),
        content_type: draft.content_type.clone(),
        owner: draft.owner.clone(),
        agent: draft.agent.clone(),
        created: now,
    };
    let sql = format!(
        "INSERT INTO documents ({COLUMNS}, retry_key, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"
    );
    connection.prepare_cached(&sql)?.execute(params![
        version.mem_id.as_str(),
        version.version,
        version.parent.as_ref().map(MemId::as_str),
        version.sha256,
        version.bytes,
        version.title,
        version.content_type,
        version.owner,
        version.agent,
        version.created.0,
        draft.retry_key,
        draft.content,
    ])?;
    let owned = "SELECT rows, bytes FROM document_owners WHERE owner = ?";
    let (rows, bytes): (u64, u64) = connection
        .prepare_cached(owned)?
        .query_row([&version.owner], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if rows > MAX_ROWS || bytes > MAX_OWNED {
        return Err(Error::Full);
    }
    Ok(version)
}

#[cfg(test)]
mod tests;
