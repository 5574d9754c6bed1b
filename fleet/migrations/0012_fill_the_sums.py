from django.db import migrations

# What services/episode.py writes for new episodes, then the sums of all (services/rollup.py). A migration of its own:
# PostgreSQL builds no index over rows that the same transaction changed.
FILL = """
UPDATE fleet_episode AS e SET interventions = s.interventions
FROM (
    SELECT episode_id, count(*) FILTER (WHERE source <> 'policy' AND before = 'policy') AS interventions
    FROM (
        SELECT episode_id, source, lag(source, 1, 'policy') OVER (PARTITION BY episode_id ORDER BY start) AS before
        FROM fleet_segment
    ) AS of_segments GROUP BY episode_id
) AS s
WHERE s.episode_id = e.id AND s.interventions > 0;

UPDATE fleet_episode AS e SET reset_ms = round(extract(epoch FROM s.gap) * 1000)
FROM (
    SELECT self.id, self.started_at - (
        SELECT max(earlier.ended_at) FROM fleet_episode AS earlier
        WHERE earlier.robot_id = self.robot_id AND earlier.ended_at <= self.started_at AND earlier.id <> self.id
    ) AS gap
    FROM fleet_episode AS self WHERE self.robot_id IS NOT NULL
) AS s
WHERE s.id = e.id AND s.gap <= interval '120 seconds' AND s.gap > interval '0';

INSERT INTO fleet_episoderollup (
    quarter, task_id, robot_id, policy_version_id, origin, is_assisted, is_archived, is_folded,
    episodes, successes, failures, timeouts, aborted, frames, human_frames, interventions, duration_ms, reset_ms,
    human_ms, frames_squared, human_frames_squared, frames_human_frames, success_human_frames
)
SELECT date_bin('15 minutes', ended_at, '2000-01-01 00:00:00+00'), task_id, robot_id, policy_version_id, origin,
       human_steps > 0, is_archived, true,
       count(*), sum((outcome = 'success')::int), sum((outcome = 'failure')::int), sum((outcome = 'timeout')::int),
       sum((outcome = 'aborted')::int), sum(steps), sum(human_steps), sum(interventions),
       sum(round(extract(epoch FROM ended_at - started_at) * 1000)), sum(reset_ms),
       sum(round(LEAST(human_steps * 1000 / NULLIF(control_rate_hz, 0),
                       extract(epoch FROM ended_at - started_at)::float8 * 1000))),
       sum(steps::bigint * steps), sum(human_steps::bigint * human_steps), sum(steps::bigint * human_steps),
       sum(CASE WHEN outcome = 'success' THEN human_steps ELSE 0 END)
FROM fleet_episode GROUP BY 1, 2, 3, 4, 5, 6, 7;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0011_sum_episodes_for_charts'),
    ]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
