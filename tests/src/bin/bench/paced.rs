//! Requests by a timetable, however fast they are answered.
//!
//! wrk asks again as soon as it has been answered, so it measures a machine that is as busy as can be. Here every
//! request has a time at which it is due, and its latency counts from then: one that had to wait for the one before
//! it was as late for its user.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::failure::Failure;

/// How many connections take turns.
pub(crate) const CONNECTIONS: u64 = 16;

/// A timetable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Requests per second.
    pub(crate) rate: u64,
    /// How long.
    pub(crate) length: Duration,
}

/// What it came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paced {
    /// Latencies in order, from the time that each was due.
    sorted: Vec<Duration>,
}

impl Load {
    /// How many requests it has.
    pub(crate) fn requests(&self) -> u64 {
        (self.length.as_secs_f64() * self.rate as f64) as u64
    }

    fn due(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate as f64)
    }
}

impl Paced {
    /// How many were answered.
    pub(crate) fn requests(&self) -> u64 {
        self.sorted.len() as u64
    }

    /// The latency that so many of a hundred did not exceed, in microseconds.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        let at = (last as f64 * percent / 100.0).round() as usize;
        self.sorted.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }
}

/// Sends what `request` makes of each number, from 0 on, each when it is due; every answer must be a 200.
///
/// # Errors
/// When one is not, or a connection breaks.
pub(crate) fn drive(
    address: SocketAddr,
    load: Load,
    request: &(dyn Fn(u64) -> Vec<u8> + Sync),
) -> Result<Paced, Failure> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(address)?);
    }
    let start = Instant::now();
    let turn = |first: u64, mut client: Client| {
        let mut latencies = Vec::new();
        let numbers = (first..load.requests()).step_by(CONNECTIONS as usize);
        for number in numbers {
            let (bytes, due) = (request(number), start + load.due(number));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            client.ask(&bytes, 200)?;
            latencies.push(due.elapsed());
        }
        Ok(latencies)
    };
    let turn = &turn;
    let mut sorted = std::thread::scope(|scope| {
        let begin = |(first, client)| scope.spawn(move || turn(first, client));
        let running: Vec<_> = (0..).zip(clients).map(begin).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Vec<Duration>, Failure>>| {
            thread.join().unwrap_or_else(|_| Err(Failure("a thread of the bench has ended".into())))
        };
        let latencies = running.into_iter().map(join).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Failure>(latencies.concat())
    })?;
    sorted.sort_unstable();
    Ok(Paced { sorted })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers every request, the first one of each connection late.
    fn server(late: Duration, answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                std::thread::spawn(move || {
                    let mut wait = late;
                    while connection.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                        std::thread::sleep(std::mem::take(&mut wait));
                        connection.write_all(answer).unwrap();
                    }
                });
            }
        });
        address
    }

    const LOAD: Load = Load { rate: 160, length: Duration::from_millis(1_000) };
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

    #[test]
    fn a_request_that_waits_for_the_one_before_it_is_late() {
        // Each connection's second request is due a tenth of a second after its first, which takes four tenths.
        let address = server(Duration::from_millis(400), ANSWER);
        let paced = drive(address, LOAD, &|_| b"GET / HTTP/1.1\r\n\r\n".to_vec()).unwrap();
        assert_eq!(paced.requests(), 160);
        let late = paced.sorted.iter().filter(|latency| **latency > Duration::from_millis(90)).count();
        assert!(late >= 4 * usize::try_from(CONNECTIONS).unwrap(), "{late} were late");
        assert!(paced.percentile(99.0) >= 400_000.0 && paced.percentile(0.0) < 400_000.0);
    }

    #[test]
    fn an_answer_with_another_status_is_no_result() {
        let address = server(Duration::ZERO, b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
        let failure = drive(address, LOAD, &|_| b"GET / HTTP/1.1\r\n\r\n".to_vec()).unwrap_err();
        assert!(failure.to_string().contains("503"), "{failure}");
    }
}
