//! DynamoDB as the fault runs have it: the embedded one, behind an HTTP
//! connector of the SDK that fails as the network and the service do.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::store::{Store, TableNames};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::dice::Dice;
use crate::weather::Weather;

/// How stale an eventually consistent read may be.
const STALE: Duration = Duration::from_millis(400);

/// What a read was answered with, and when.
type Answers = VecDeque<(Duration, String)>;

/// The database of one world.
#[derive(Clone)]
pub struct Database {
    embedded: dynoxide::Database,
    /// Runs what takes effect after its caller has gone.
    network: Handle,
    clock: Clock,
    /// What reads that need not be consistent were answered with.
    answers: Arc<Mutex<HashMap<String, Answers>>>,
    /// It takes every write, whatever its condition.
    pub ignores_conditions: bool,
}

impl Database {
    pub fn new(network: Handle, clock: Clock) -> Self {
        Self {
            embedded: dynoxide::Database::memory().unwrap(),
            network,
            clock,
            answers: Arc::default(),
            ignores_conditions: false,
        }
    }

    /// The records as one component reaches them. Timeouts and retries are
    /// those of `aws::environment`, at the pace of leases of a second.
    pub fn store(&self, dice: Dice, weather: Weather) -> Store {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(Duration::from_millis(250))
            .operation_timeout(Duration::from_millis(625));
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(40));
        let line = Line {
            database: self.clone(),
            dice,
            weather,
        };
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(line)
            .endpoint_url("http://database")
            .region(Region::new("local"))
            .credentials_provider(Credentials::new("faults", "faults", None, None, "faults"))
            .timeout_config(timeouts.build())
            .retry_config(retries)
            .build();
        Store::new(Client::from_conf(config), tables())
    }

    /// One item as it is in the table; `None` where it isn't.
    pub fn item(&self, table: &str, key: &Value) -> Option<Value> {
        let request = json!({"TableName": table, "Key": key, "ConsistentRead": true});
        let (_, answer) = self.run("GetItem", &request.to_string());
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        answer.get_mut("Item").map(Value::take)
    }

    fn run(&self, operation: &str, body: &str) -> (u16, String) {
        let mut request = Cow::Borrowed(body);
        if self.ignores_conditions {
            let mut lax = serde_json::from_str(body).unwrap();
            without_conditions(&mut lax);
            request = Cow::Owned(lax.to_string());
        }
        let done = cli::up::dynamo::run(&self.embedded, operation, &request)
            .unwrap_or_else(|| panic!("an operation the fault runs don't know: {operation}"));
        match done {
            Ok(body) => (200, body),
            Err(error) => (error.status_code(), error.to_json()),
        }
    }

    /// An answer that the same read may still get: one of a moment ago.
    fn stale(&self, key: &str, fresh: String, pick: Option<f64>) -> String {
        let mut answers = self.answers.lock().unwrap();
        let kept = answers.entry(key.to_owned()).or_default();
        let now = self.clock.now();
        kept.retain(|(at, _)| now - *at < STALE);
        let stale = pick.and_then(|pick| kept.get((pick * kept.len() as f64) as usize));
        let answer = stale.map_or_else(|| fresh.clone(), |(_, old)| old.clone());
        kept.push_back((now, fresh));
        answer
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database")
    }
}

/// The tables' names.
pub fn tables() -> TableNames {
    TableNames::with_prefix("faults")
}

/// One component's way to the database.
#[derive(Debug, Clone)]
struct Line {
    database: Database,
    dice: Dice,
    weather: Weather,
}

/// What happens to a call.
enum Fate {
    Served,
    /// The connection breaks before the call arrives.
    Before,
    /// It takes effect, and the answer is lost.
    After,
    /// No answer ever comes; the call may have taken effect.
    Silence {
        served: bool,
    },
    /// It takes effect only after this long, whatever its caller does.
    Late(Duration),
    /// The service refuses: error code and status.
    Refused(&'static str, u16),
    /// Another transaction is writing the same records.
    Met,
}

impl Line {
    fn fate(&self, operation: &str) -> Fate {
        let mut dice = self.dice.throw(operation);
        if self.weather.no_database.is_on() {
            self.weather.storm.brings("database: cut off");
            return match dice.random_bool(0.5) {
                true => Fate::Before,
                false => Fate::Silence { served: false },
            };
        }
        if !self.weather.storm.is_on() {
            return Fate::Served;
        }
        let writes = matches!(
            operation,
            "UpdateItem" | "TransactWriteItems" | "BatchWriteItem"
        );
        let (fate, name) = match dice.random_range(0..1000) {
            0..20 => (Fate::Before, "database: not reached"),
            20..45 => (Fate::After, "database: answer lost"),
            45..52 => (Fate::Silence { served: false }, "database: no answer"),
            52..60 => (Fate::Silence { served: true }, "database: no answer"),
            60..85 => {
                let delay = Duration::from_millis(dice.random_range(1..400));
                (Fate::Late(delay), "database: late")
            }
            85..95 => {
                let refused = Fate::Refused("InternalServerError", 500);
                (refused, "database: failed")
            }
            95..105 => {
                let refused = Fate::Refused("ProvisionedThroughputExceededException", 400);
                (refused, "database: throttled")
            }
            105..135 if writes => (Fate::Met, "database: transactions in conflict"),
            _ => return Fate::Served,
        };
        self.weather.storm.brings(name);
        fate
    }

    async fn call(self, operation: String, body: String) -> Result<HttpResponse, ConnectorError> {
        let broken = || ConnectorError::io("the connection broke".into());
        // Over a network others get their turn.
        tokio::task::yield_now().await;
        match self.fate(&operation) {
            Fate::Served => {
                let (status, answer) = self.database.run(&operation, &body);
                Ok(response(status, self.aged(&operation, &body, answer)))
            }
            Fate::Before => Err(broken()),
            Fate::After => {
                self.database.run(&operation, &body);
                Err(broken())
            }
            Fate::Silence { served } => {
                if served {
                    self.database.run(&operation, &body);
                }
                std::future::pending().await
            }
            Fate::Late(delay) => {
                let database = self.database.clone();
                let late = self.database.network.spawn(async move {
                    tokio::time::sleep(delay).await;
                    database.run(&operation, &body)
                });
                let (status, answer) = late.await.map_err(|_| broken())?;
                Ok(response(status, answer))
            }
            Fate::Refused(code, status) => Ok(response(status, refusal(code, &[]))),
            Fate::Met if operation == "TransactWriteItems" => {
                let request: Value = serde_json::from_str(&body).unwrap();
                let items = request["TransactItems"].as_array().map_or(0, Vec::len);
                let mut codes = vec!["None"; items];
                codes[0] = "TransactionConflict";
                let code = "TransactionCanceledException";
                Ok(response(400, refusal(code, &codes)))
            }
            Fate::Met => Ok(response(400, refusal("TransactionConflictException", &[]))),
        }
    }

    /// Indexes lag, and so do reads that did not ask for consistency.
    fn aged(&self, operation: &str, body: &str, answer: String) -> String {
        if !matches!(operation, "GetItem" | "BatchGetItem" | "Query") {
            return answer;
        }
        let mut request: Value = serde_json::from_str(body).unwrap();
        if request["ConsistentRead"] == true {
            return answer;
        }
        // Where a page of idle workers begins is random: any page will do.
        if let Some(values) = request["ExpressionAttributeValues"].as_object_mut() {
            values.remove(":from");
        }
        let mut dice = self.dice.throw("stale");
        let stale = self.weather.storm.is_on() && dice.random_bool(0.6);
        let pick = stale.then(|| dice.random_range(0.0..1.0));
        let aged = (self.database).stale(&format!("{operation} {request}"), answer.clone(), pick);
        if aged != answer {
            self.weather.storm.brings("database: stale read");
        }
        aged
    }
}

impl HttpClient for Line {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let line = self.clone();
        HttpConnectorFuture::new(Self::call(line, operation, body))
    }
}

/// Makes every condition of a request hold. They stay in it, as what they name
/// must be used.
fn without_conditions(request: &mut Value) {
    match request {
        Value::Object(fields) => {
            if let Some(Value::String(condition)) = fields.get_mut("ConditionExpression") {
                *condition = format!("({condition}) OR attribute_not_exists(nothing)");
            }
            fields.values_mut().for_each(without_conditions);
        }
        Value::Array(items) => items.iter_mut().for_each(without_conditions),
        _ => {}
    }
}

fn refusal(code: &str, reasons: &[&str]) -> String {
    let reasons: Vec<Value> = reasons.iter().map(|code| json!({"Code": code})).collect();
    json!({
        "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"),
        "message": "injected fault",
        "CancellationReasons": reasons,
    })
    .to_string()
}

fn response(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).unwrap(), body.into())
}
