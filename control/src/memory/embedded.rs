//! Events in control's own store.

use attach_core::clock::UnixMillis;

use super::backend::{Error, Page, Reach, Record, Rejected, SessionFilter, Stored};

/// Events in control's own store.
#[derive(Clone, Debug)]
pub struct Embedded {}

impl Embedded {
    pub(super) async fn put(&self, _: Vec<Record>) -> Result<Vec<Rejected>, Error> {
        Err(Error::Unavailable(String::new()))
    }

    pub(super) async fn list(&self, _: Reach, _: Page) -> Result<Vec<Stored>, Error> {
        Err(Error::Unavailable(String::new()))
    }

    pub(super) async fn search(
        &self,
        _: Reach,
        _: String,
        _: Option<Vec<f32>>,
        _: usize,
    ) -> Result<Vec<Stored>, Error> {
        Err(Error::Unavailable(String::new()))
    }

    pub(super) async fn get(&self, _: Reach, _: String) -> Result<Option<Stored>, Error> {
        Err(Error::Unavailable(String::new()))
    }

    pub(super) async fn forget(&self, _: String, _: Option<SessionFilter>) -> Result<u64, Error> {
        Err(Error::Unavailable(String::new()))
    }

    pub(super) async fn expire(&self, _: UnixMillis) -> Result<u64, Error> {
        Err(Error::Unavailable(String::new()))
    }
}
