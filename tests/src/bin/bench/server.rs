//! What stands behind all Envoys: the cheapest server that will do, in a process of its own.
//!
//! It is the engine and, on ports of their own, control and Weaviate. It reads requests of known length and answers each
//! with the same few bytes, on one thread; only the streams, which wait between their chunks, have one each.

mod answers;
mod batch;
mod stream;

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use attach_tests::request::Request as Asked;
use tokio::net::{TcpListener, TcpStream};

use self::answers::{Answer, Request};
pub(crate) use self::batch::Remembered;
pub(crate) use self::stream::{Pace, now_nanos};
use crate::failure::{During as _, Failure};
use crate::process::Watched;

/// The argument that makes this program the server.
pub(crate) const ARGUMENT: &str = "serve-the-bench";

/// More than any request of the bench, and than a batch of records.
const MAX_REQUEST: usize = 2 * 1024 * 1024;
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running server.
pub(crate) struct Server {
    /// Where the engine listens.
    pub(crate) engine: SocketAddr,
    /// Where control listens.
    pub(crate) control: SocketAddr,
    /// Where Weaviate listens.
    pub(crate) weaviate: SocketAddr,
    _process: Watched,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start() -> Result<Self, Failure> {
        let program = std::env::current_exe().during("the bench's own file")?;
        let mut command = Command::new(program);
        command.arg(ARGUMENT).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Watched::spawn(&mut command)?;
        let stdout = process.pipes().stdout.take();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(PATIENCE).during("the bench's server does not start")?;
        let mut addresses = line.split_whitespace().filter_map(|address| address.parse().ok());
        match (addresses.next(), addresses.next(), addresses.next()) {
            (Some(engine), Some(control), Some(weaviate)) => {
                Ok(Self { engine, control, weaviate, _process: process })
            }
            _ => Err(Failure("the bench's server does not say where it listens".into())),
        }
    }

    /// How many usage records control has been given so far.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) fn records(&self) -> Result<u64, Failure> {
        let what = "the count of records at the bench's server";
        let response = Asked::get(answers::COUNT).try_send(self.control).during(what)?;
        response.text().trim().parse().during(what)
    }

    /// What Weaviate and control have been told to remember so far.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) fn remembered(&self) -> Result<Remembered, Failure> {
        let what = "the count of objects at the bench's server";
        let response = Asked::get(batch::COUNT).try_send(self.weaviate).during(what)?;
        Remembered::parse(&response.text()).ok_or_else(|| Failure(format!("{what} is none")))
    }
}

/// Is the server, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn serve() -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().max_blocking_threads(stream::MOST).build();
    runtime.during("the server's runtime")?.block_on(async {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let engine = listen().await.during("the server's port")?;
        let control = listen().await.during("the server's port")?;
        let weaviate = listen().await.during("the server's port")?;
        let at = |listener: &TcpListener| listener.local_addr().during("the server's port");
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{} {} {}", at(&engine)?, at(&control)?, at(&weaviate)?).during("the server")?;
        stdout.flush().during("the server")?;
        loop {
            let accepted = tokio::select! {
                accepted = engine.accept() => accepted,
                accepted = control.accept() => accepted,
                accepted = weaviate.accept() => accepted,
            };
            let (connection, _) = accepted.during("the server's port")?;
            let _ = connection.set_nodelay(true);
            // A connection that breaks has no more questions.
            tokio::spawn(async move { converse(connection).await });
        }
    })
}

/// Answers requests until the other side has no more.
async fn converse(mut connection: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; MAX_REQUEST];
    let mut held = 0;
    loop {
        connection.readable().await?;
        match connection.try_read(buffer.get_mut(held..).unwrap_or_default()) {
            Ok(0) => return Ok(()),
            Ok(read) => held += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        while let Some(request) = buffer.get(..held).and_then(Request::parse) {
            let (length, answer) = (request.length, answers::to(&request));
            buffer.copy_within(length..held, 0);
            held -= length;
            match answer {
                Answer::Fixed(bytes) => send(&connection, bytes).await?,
                Answer::Text(text) => send(&connection, text.as_bytes()).await?,
                Answer::Stream(pace) => connection = paced(connection, pace).await?,
            }
        }
    }
}

/// Answers with a stream, on a thread that may wait.
async fn paced(connection: TcpStream, pace: Pace) -> std::io::Result<TcpStream> {
    let connection = connection.into_std()?;
    connection.set_nonblocking(false)?;
    let answered =
        tokio::task::spawn_blocking(move || stream::answer(&connection, pace).map(|()| connection));
    let connection = answered.await.map_err(std::io::Error::other)??;
    connection.set_nonblocking(true)?;
    TcpStream::from_std(connection)
}

async fn send(connection: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match connection.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => connection.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
