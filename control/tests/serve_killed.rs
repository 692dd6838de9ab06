//! The real `attach serve`, killed again and again under load: no usage record is lost and none counts twice.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::TcpListener;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::routing::post;
    use serde_json::{Value, json};

    const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const SENDERS: usize = 4;
    const BATCHES: usize = 40;
    const RECORDS: usize = 5;
    const LIVES: usize = 6;
    const DEADLINE: Duration = Duration::from_secs(60);

    /// How often OpenMeter's stand-in took each id.
    type Taken = Arc<Mutex<BTreeMap<String, usize>>>;

    async fn ingest(State(taken): State<Taken>, body: Bytes) -> StatusCode {
        let events: Vec<Value> = serde_json::from_slice(&body).unwrap();
        let mut taken = taken.lock().unwrap();
        for event in events {
            *taken.entry(event["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        StatusCode::NO_CONTENT
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    struct Control {
        folder: PathBuf,
        port: u16,
        openmeter: String,
        process: Child,
    }

    impl Control {
        fn start(folder: &Path, port: u16, openmeter: &str) -> Self {
            let process = Command::new(env!("CARGO_BIN_EXE_attach"))
                .arg("serve")
                .arg("--state-dir")
                .arg(folder)
                .current_dir(folder)
                .env_clear()
                .env("CONTROL_PORT", port.to_string())
                .env("ATTACH_CONTROL_SECRET", SECRET)
                .env("USAGE_METERING", "openmeter")
                .env("OPENMETER_URL", openmeter)
                .env("OPENMETER_API_KEY", "key")
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(folder.join("serve.log")).unwrap())
                .spawn()
                .unwrap();
            Self { folder: folder.to_owned(), port, openmeter: openmeter.to_owned(), process }
        }

        fn kill_and_start(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
            *self = Self::start(&self.folder.clone(), self.port, &self.openmeter.clone());
        }
    }

    impl Drop for Control {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
            if std::thread::panicking() {
                eprintln!("{}", std::fs::read_to_string(self.folder.join("serve.log")).unwrap_or_default());
            }
        }
    }

    fn batch(sender: usize, number: usize) -> String {
        let id = |n: usize| format!("boot-{sender}-{}", number * RECORDS + n);
        let record = |n: usize| {
            json!({
                "id": id(n), "at": attach_control::clock::unix_now_millis(), "user": "alice", "project": "default", "model": "m",
                "credential": "oidc", "request_id": "", "status": 200, "milliseconds": 1, "input": 3,
                "output": 2, "cached": 0, "reasoning": 0, "source": "counted",
            })
        };
        let records: Vec<Value> = (0..RECORDS).map(record).collect();
        let undelivered: Vec<String> = (0..RECORDS).map(id).collect();
        json!({ "records": records, "undelivered": undelivered }).to_string()
    }

    /// As the filter does: a batch is sent again until it is acknowledged.
    async fn send(client: &reqwest::Client, url: &str, body: String) {
        let begun = Instant::now();
        loop {
            let request =
                client.post(url).header("x-attach-control-secret", SECRET).body(body.clone()).send().await;
            match request {
                Ok(response) if response.status() == 204 => return,
                Ok(response) if response.status() != 503 => panic!("{}", response.status()),
                // Nobody is there, or nobody any more.
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            assert!(begun.elapsed() < DEADLINE, "never acknowledged");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn being_killed_under_load_loses_and_doubles_nothing() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = std::env::temp_dir().join(format!("attach-serve-killed-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();

        let taken = Taken::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let openmeter = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/api/v1/events", post(ingest)).with_state(Arc::clone(&taken));
        tokio::spawn(async move { axum::serve(listener, router).await });

        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let mut control = Control::start(&folder, port, &openmeter);
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (client, url) = (client.clone(), format!("{base}/internal/records"));
                let acknowledged = Arc::clone(&acknowledged);
                tokio::spawn(async move {
                    for number in 0..BATCHES {
                        send(&client, &url, batch(sender, number)).await;
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for life in 1..LIVES {
            let begun = Instant::now();
            while acknowledged.load(Ordering::Relaxed) < life * SENDERS * BATCHES / LIVES {
                tokio::time::sleep(Duration::from_millis(1)).await;
                assert!(begun.elapsed() < DEADLINE, "life {life}");
            }
            control.kill_and_start();
        }
        for sender in senders {
            sender.await.unwrap();
        }
        let get = |path: &'static str| {
            let request = client
                .get(format!("{base}{path}"))
                .header("x-attach-control-secret", SECRET)
                .header("x-attach-user", "alice")
                .header("x-attach-session", "s");
            async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
        };
        let begun = Instant::now();
        loop {
            let health = get("/internal/health").await;
            if health["outbox"] == 0 {
                assert_eq!(health["set_aside"], 0);
                break;
            }
            assert!(begun.elapsed() < DEADLINE, "{health}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let count = SENDERS * BATCHES * RECORDS;
        let totals = &get("/v1/usage?limit=1").await["totals"];
        assert_eq!(
            totals,
            &json!({
                "requests": count, "input": 3 * count, "output": 2 * count, "cached": 0, "reasoning": 0
            })
        );
        let taken = taken.lock().unwrap();
        assert_eq!(taken.len(), 2 * count, "events by their ids");
        // One that was on its way when control was killed comes again under its id, once for each life.
        assert!(taken.values().all(|times| *times <= LIVES), "{taken:?}");
        drop(control);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
