//! A real Prometheus.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Leashed, leash};
use crate::request::Request;
use crate::{env, ports, wait};

/// What may be missing, in words.
const INSTALL: &str = "the package prometheus";

/// A Prometheus that reads one page every second.
pub struct Prometheus {
    address: SocketAddr,
    folder: PathBuf,
    running: Option<Leashed>,
}

impl Prometheus {
    /// Starts one that reads `/metrics` there with a bearer token.
    ///
    /// # Panics
    /// When it is missing, or does not start.
    #[must_use]
    pub fn start(page: SocketAddr, token: &str) -> Self {
        let binary = env::required_peer("ATTACH_TEST_PROMETHEUS", INSTALL);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let folder = env::state().join(format!("prometheus-{}", address.port()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: gateway\n  \
             authorization: {{credentials: {token}}}\n  static_configs: [{{targets: [\"{page}\"]}}]\n"
        );
        std::fs::write(&config, text).expect("its configuration");
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address={address}"),
            "--log.level=error".to_owned(),
        ];
        let mut command = leash(binary, &arguments);
        let running = Leashed::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        wait::until("Prometheus to be ready", || {
            Request::get("/-/ready").try_send(address).ok().filter(|answer| answer.status == 200)
        });
        Self { address, folder, running: Some(running) }
    }

    /// What a query yields now: labels and value of each series.
    ///
    /// # Panics
    /// When the query is none.
    #[must_use]
    pub fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/api/v1/query?query={encoded}");
        let answer = Request::get(&path).send(self.address).expect(200).json();
        let found = answer["data"]["result"].as_array().expect("series");
        let value = |series: &Value| series["value"][1].as_str().and_then(|text| text.parse().ok());
        found.iter().map(|series| (series["metric"].clone(), value(series).expect("a number"))).collect()
    }

    /// Why its last reading failed; empty: it did not, or there was none.
    #[must_use]
    pub fn last_error(&self) -> String {
        let answer = Request::get("/api/v1/targets").send(self.address).expect(200).json();
        answer["data"]["activeTargets"][0]["lastError"].as_str().unwrap_or_default().to_owned()
    }

    /// What `promtool check metrics` says of a page: nothing, where it is well formed.
    ///
    /// # Panics
    /// When promtool is missing.
    #[must_use]
    pub fn check(page: &str) -> String {
        let mut command = Command::new(env::required_peer("ATTACH_TEST_PROMTOOL", INSTALL));
        command
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().expect("promtool");
        let mut input = process.stdin.take().expect("piped");
        std::io::Write::write_all(&mut input, page.as_bytes()).expect("the page");
        drop(input);
        let output = process.wait_with_output().expect("its word");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.success(), said.is_empty(), "{said}");
        said
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.running = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
