//! Clients: each creates a job and changes its mind now and then. An order
//! counts once it is answered; one whose answer is lost is given again.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use domain::ids::JobId;
use http_body_util::BodyExt;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::dice::Dice;
use crate::weather::{Mortal, Storm};

/// What was accepted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Run,
    Pause,
    Stop,
    /// Deleted; with its media or without.
    Gone {
        media: bool,
    },
}

/// A job, as its client knows it.
#[derive(Debug, Clone)]
pub struct Channel {
    pub id: JobId,
    /// Its input is pushed, and nobody does.
    pub pushed: bool,
    pub want: Want,
}

/// The renditions of every job.
pub const LABELS: [&str; 2] = ["v", "a"];

/// A client of the API.
#[derive(Clone)]
pub struct Client {
    pub api: Router,
    pub dice: Dice,
    pub storm: Storm,
}

impl Client {
    /// Lives through a job for as long as the storm may last.
    pub async fn live(self, storm: Duration) -> Channel {
        let pushed = self.dice.throw("input").random_bool(0.2);
        let id = self.create(pushed).await;
        let mut channel = Channel {
            id,
            pushed,
            want: Want::Run,
        };
        let began = Instant::now();
        let mut dice = self.dice.throw("orders");
        let mut times: Vec<f64> = (0..dice.random_range(0..6))
            .map(|_| dice.random_range(0.0..1.0))
            .collect();
        times.sort_by(f64::total_cmp);
        for time in times {
            tokio::time::sleep_until(began + storm.mul_f64(time)).await;
            self.change_mind(&mut channel).await;
        }
        channel
    }

    async fn create(&self, pushed: bool) -> JobId {
        let input = match pushed {
            true => json!({}),
            false => json!({"url": "srt://127.0.0.1:9000"}),
        };
        let body = json!({
            "input": input,
            "output": {
                "segment_duration": 1,
                "time_shift_buffer_depth": 6,
                "video_outputs": [{"label": LABELS[0], "width": 320, "height": 180, "bitrate": "200k", "gop_size": 1}],
                "audio_outputs": [{"label": LABELS[1]}],
            },
        });
        let key = uuid();
        loop {
            match self
                .call(Method::POST, "/jobs", Some(&key), body.to_string())
                .await
            {
                Some((201, job)) => return JobId::parse(job["id"].as_str().unwrap()).unwrap(),
                Some((status, problem)) if (400..500).contains(&status) && status != 409 => {
                    panic!("refused: {problem}");
                }
                _ => tokio::time::sleep(Duration::from_millis(30)).await,
            }
        }
    }

    async fn change_mind(&self, channel: &mut Channel) {
        let mut dice = self.dice.throw("order");
        let path = format!("/jobs/{}", channel.id);
        let pick = dice.random_range(0..100);
        let put = |name: &str| (Method::PUT, format!("{path}/{name}"));
        let delete = |query: &str| (Method::DELETE, format!("{path}?{query}"));
        let gone = |media| Some(Want::Gone { media });
        let ((method, path), want) = match (channel.want, pick) {
            (Want::Gone { .. }, _) => return,
            (_, 0..10) => (put("stream-key"), None),
            (_, 10..16) => (delete("force=true"), gone(false)),
            (_, 16..22) => (delete("force=true&media=true"), gone(true)),
            (_, 22..28) => (delete(""), gone(false)),
            (Want::Run, 28..60) | (Want::Pause, 28..50) => (put("stop"), Some(Want::Stop)),
            (Want::Run, _) => (put("pause"), Some(Want::Pause)),
            (Want::Pause | Want::Stop, _) => (put("resume"), Some(Want::Run)),
        };
        // What is refused now may be accepted once the job has ended.
        for _ in 0..20 {
            let status = self.insist(&method, &path).await;
            tracing::info!(job = %channel.id, %method, path, status, "ORDER");
            match status {
                200..300 => {
                    channel.want = want.unwrap_or(channel.want);
                    return;
                }
                404 if method == Method::DELETE => {
                    channel.want = want.unwrap_or(channel.want);
                    return;
                }
                409 => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => panic!("{method} {path} was answered {status}"),
            }
        }
    }

    /// Orders until it is answered.
    pub async fn insist(&self, method: &Method, path: &str) -> u16 {
        loop {
            match self.call(method.clone(), path, None, String::new()).await {
                Some((status, _)) if status < 500 => return status,
                _ => tokio::time::sleep(Duration::from_millis(30)).await,
            }
        }
    }

    /// One call; `None` where the API died of it.
    async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: String,
    ) -> Option<(u16, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "ezlive.test")
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Body::from(body)).unwrap();
        let mut dice = self.dice.throw("call");
        let lives = match self.storm.is_on() && dice.random_bool(0.06) {
            true => dice.random_range(0..10),
            false => u32::MAX,
        };
        let answer = Mortal::new(self.api.clone().oneshot(request), lives).await;
        if answer.is_none() {
            self.storm.brings("API: died of a call");
        }
        let answer = answer?.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

fn uuid() -> String {
    JobId::generate().to_string()
}
