//! One of each outage, on real processes with a real FFmpeg: what must hold
//! is in `tests::outage`. How long each takes is for `bench-outages` to say.

use tests::outage::Outage;

macro_rules! outages {
    ($($name:ident: $outage:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            Outage::$outage.happen().await.map(drop)
        }
    )+};
}

outages! {
    a_killed_worker_is_replaced: WorkerKilled,
    a_frozen_worker_is_stopped_and_replaced: WorkerFrozen,
    a_zombie_that_wakes_up_publishes_nothing: ZombieWakes,
    a_killed_ffmpeg_is_started_again: EncoderKilled,
    a_frozen_ffmpeg_is_killed_and_started_again: EncoderFrozen,
    all_killed_and_started_again_goes_on: MachineKilled,
    a_worker_without_the_database_gives_up_its_job: DatabaseCut,
    a_store_that_is_away_costs_no_segment: StoreCut,
    a_drained_worker_hands_its_job_to_one_that_is_ready: Drained,
    a_worker_told_by_sigterm_does_the_same: Terminated,
    a_lost_publisher_comes_back_to_the_same_run: PublisherLost,
}
