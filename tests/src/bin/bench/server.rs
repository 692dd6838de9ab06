//! The engine behind all Envoys: the cheapest server that will do, in a process of its own.
//!
//! It reads requests of known length and answers each with the same few bytes, on one thread.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::failure::{During as _, Failure};
use crate::process::Watched;

/// The argument that makes this program the server.
pub(crate) const ARGUMENT: &str = "serve-the-bench";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n\
    {\"object\":\"list\",\"data\":[]}";
/// More than any request of the bench.
const MAX_REQUEST: usize = 64 * 1024;
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
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
        let address = line.trim().parse().during("the bench's server does not say where it listens")?;
        Ok(Self { address, _process: process })
    }
}

/// Is the server, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn serve() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.during("the server's runtime")?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.during("the server's port")?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}", listener.local_addr().during("the server's port")?).during("the server")?;
        stdout.flush().during("the server")?;
        loop {
            let (connection, _) = listener.accept().await.during("the server's port")?;
            let _ = connection.set_nodelay(true);
            // A connection that breaks has no more questions.
            tokio::spawn(async move { answer(&connection).await });
        }
    })
}

/// Answers requests until the other side has no more.
async fn answer(connection: &TcpStream) -> std::io::Result<()> {
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
        while let Some(length) = buffer.get(..held).and_then(request_length) {
            buffer.copy_within(length..held, 0);
            held -= length;
            send(connection, ANSWER).await?;
        }
    }
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

/// The length of the first request in `held`, if the whole of it is there.
fn request_length(held: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (mut length, mut body) = (0, 0);
    for line in held.split_inclusive(|byte| *byte == b'\n') {
        length += line.len();
        if line == b"\r\n" {
            return (held.len() >= length + body).then_some(length + body);
        }
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            body = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_once_the_whole_of_it_is_there() {
        let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        assert_eq!(request_length(get), Some(get.len()));
        assert_eq!(request_length(&get[..get.len() - 1]), None);
        let post = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nhost: x\r\n\r\nabcGET";
        assert_eq!(request_length(post), Some(post.len() - 3));
        assert_eq!(request_length(&post[..post.len() - 5]), None);
    }

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let body = ANSWER.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(ANSWER.len() - body, 27);
    }
}
