//! The API: what clients call, over HTTP, as JSON.
//!
//! Each handler reads the request (`extract`), reads or changes the records
//! through [`Store`], sends the scheduler a hint, and answers with a view of
//! the record (`view`) or with a problem (`problem`). The handlers' signatures
//! and annotations are also the OpenAPI document: a route can't be served
//! without being in it.

mod create;
mod delete;
mod dry_run;
mod extract;
mod follow_up;
mod health;
mod jobs;
mod list;
mod openapi;
mod problem;
mod step;
#[cfg(test)]
mod tests;
mod view;
mod wishes;
mod workers;

use std::sync::Arc;

use aws::queue::JobQueue;
use aws::store::Store;
use axum::routing::MethodRouter;
use axum::{Router, middleware};
use domain::job::Job;
use domain::protocol::Timing;
use domain::spec::OperatorPolicy;
use jiff::Timestamp;
use utoipa::Path;
use utoipa_axum::PathItemExt;

pub use problem::Problem;
use view::{JobView, Reader};

/// The API and what it works with.
pub struct Api {
    /// The records.
    pub store: Store,
    /// The scheduler's queue.
    pub queue: Arc<dyn JobQueue>,
    /// What the operator has set.
    pub settings: ApiSettings,
}

/// What the operator has set.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Which specs are allowed.
    pub policy: OperatorPolicy,
    /// Where players find the channels.
    pub playback: Playback,
    /// The protocol's times.
    pub timing: Timing,
}

/// Where players find the channels: `{base}/{job}/master.m3u8` and
/// `{base}/{job}/manifest.mpd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Playback {
    /// Under this base URL.
    Fixed(String),
    /// The default store under this base URL, the CDN's; a bucket that a job
    /// names at its own address, which the CDN does not have.
    OfBuckets {
        /// The default store's base URL.
        default: String,
        /// The region of the buckets.
        region: String,
    },
    /// On the host that the API was called on, under `/live`: one machine.
    FromHost,
}

impl Playback {
    /// The base URL of this job's, for a request to this host.
    fn base(&self, job: &Job, host: &extract::Host) -> String {
        match (self, job.spec.output.bucket()) {
            (Self::OfBuckets { region, .. }, Some(bucket)) => {
                format!("https://{bucket}.s3.{region}.amazonaws.com")
            }
            (Self::Fixed(base) | Self::OfBuckets { default: base, .. }, _) => base.clone(),
            (Self::FromHost, _) => format!("http://{}/live", host.0),
        }
    }
}

impl Api {
    /// A job as its owner sees it, with live stats.
    async fn view(&self, job: &Job, host: &extract::Host) -> Result<JobView, Problem> {
        let worker = self.store.worker_of(job).await?;
        let base = self.settings.playback.base(job, host);
        let warning = self.settings.policy.warning(&job.spec);
        JobView::new(job, worker.as_ref(), Reader::Owner, &base, Timestamp::now())
            .map(|view| view.with_warning(warning))
            .map_err(|error| Problem::internal(&error))
    }
}

/// Hands every handler of the API to a macro: [`served`] or [`documented`].
macro_rules! each_handler {
    ($make:ident) => {
        $make! {
            create::create,
            create::create_live_job,
            list::jobs,
            jobs::get,
            jobs::replace_spec,
            delete::delete,
            list::events,
            wishes::stop,
            wishes::pause,
            wishes::resume,
            wishes::rotate_stream_key,
            workers::list,
            workers::get,
            workers::drain,
            health::health,
            openapi::document,
        }
    };
}
use each_handler;

/// A router with each handler on the path and by the methods of its annotation.
/// [`utoipa_axum::routes`] does the same, but makes the document with it:
/// 1.2 ms of a cold start of 3, for what few calls ask for.
macro_rules! served {
    ($($module:ident :: $handler:ident,)*) => {
        utoipa_axum::paste! {
            Router::new()$(.route(
                &<$module::[<__path_ $handler>] as Path>::path(),
                <$module::[<__path_ $handler>] as Path>::methods()
                    .iter()
                    .fold(MethodRouter::new(), |methods, method| {
                        methods.on(method.to_method_filter(), $module::$handler)
                    }),
            ))*
        }
    };
}

/// Every route of the API.
pub fn router(api: Api) -> Router {
    each_handler!(served)
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || {
            Problem::not_found("there is no such path; GET /openapi.json lists them")
        })
        .layer(middleware::from_fn(follow_up::log_request))
        .layer(middleware::from_fn(follow_up::trace))
        .with_state(Arc::new(api))
}
