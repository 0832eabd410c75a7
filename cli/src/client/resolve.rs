//! From what a person types to an id.

use domain::ids::{JobId, WorkerId};

use super::api::ApiClient;
use super::failure::Failure;
use super::types::Problem;

/// The shortest part of an id that is looked up.
const SHORTEST: usize = 4;

/// The id of the job that `text` names: a whole id, or the start or the end
/// of just one. (Ids begin with the time, so those of jobs made within a
/// minute begin alike; their ends differ.)
///
/// # Errors
/// [`Failure::NotFound`] for none, [`Failure::Usage`] for several or for what
/// can't be part of an id, and what the API's list gives.
pub async fn job(api: &ApiClient, text: &str) -> Result<String, Failure> {
    if let Some(id) = JobId::parse(text) {
        return Ok(id.to_string());
    }
    let part = part_of_id("job", text)?;
    let jobs = api.jobs(None, None).await?.body;
    the_one("job", &part, jobs.into_iter().map(|job| job.id))
}

/// The id of the worker that `text` names, in the same way.
///
/// # Errors
/// See [`job`].
pub async fn worker(api: &ApiClient, text: &str) -> Result<String, Failure> {
    if let Some(id) = WorkerId::parse(text) {
        return Ok(id.to_string());
    }
    let part = part_of_id("worker", text)?;
    let workers = api.workers().await?.body;
    the_one("worker", &part, workers.into_iter().map(|worker| worker.id))
}

fn part_of_id(what: &str, text: &str) -> Result<String, Failure> {
    let part = text.to_ascii_lowercase();
    if part.len() < SHORTEST || !part.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err(Failure::Usage(format!(
            "{text:?} is no {what} id: give a whole one, or at least {SHORTEST} characters of its start or end"
        )));
    }
    Ok(part)
}

fn the_one(what: &str, part: &str, ids: impl Iterator<Item = String>) -> Result<String, Failure> {
    let mut found: Vec<String> = ids
        .filter(|id| id.starts_with(part) || id.ends_with(part))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(id), true) => Ok(id),
        (None, _) => Err(Failure::NotFound(Box::new(Problem {
            title: Some(format!(
                "no {what} has an id that starts or ends with {part}"
            )),
            status: 404,
            ..Problem::default()
        }))),
        (Some(last), false) => {
            found.push(last);
            Err(Failure::Usage(format!(
                "{part} fits {} {what}s; give more of one:\n  {}",
                found.len(),
                found.join("\n  ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(part: &str) -> Result<String, Failure> {
        the_one(
            "job",
            part,
            ["0193aaaa-1111", "0193aaaa-2222", "0193bbbb-3333"]
                .into_iter()
                .map(str::to_owned),
        )
    }

    #[test]
    fn a_part_names_a_job_by_start_or_end_if_it_fits_just_one() {
        assert_eq!(pick("0193b").unwrap(), "0193bbbb-3333");
        assert_eq!(pick("2222").unwrap(), "0193aaaa-2222");
        assert!(
            matches!(pick("0193aaaa"), Err(Failure::Usage(text)) if text.contains("fits 2") && text.contains("-1111"))
        );
        assert!(matches!(pick("ffff"), Err(Failure::NotFound(_))));
    }

    #[test]
    fn what_cannot_be_part_of_an_id_is_not_looked_up() {
        for text in ["", "019", "../x", "xyzw", "0193?"] {
            assert!(
                matches!(part_of_id("job", text), Err(Failure::Usage(_))),
                "{text}"
            );
        }
        assert_eq!(part_of_id("job", "0193AB").unwrap(), "0193ab");
    }
}
