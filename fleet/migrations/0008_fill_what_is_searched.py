from django.db import migrations

# What services/episode.py writes for new episodes. A migration of its own: PostgreSQL builds no index over rows that
# the same transaction changed.
FILL = """
UPDATE fleet_episode AS e
SET sources = s.sources, operators = s.operators
FROM (
    SELECT episode_id,
           array_agg(DISTINCT source ORDER BY source) AS sources,
           COALESCE(array_agg(DISTINCT operator ORDER BY operator) FILTER (WHERE operator <> ''), '{}') AS operators
    FROM fleet_segment GROUP BY episode_id
) AS s
WHERE s.episode_id = e.id;

UPDATE fleet_episode AS e
SET search_text = lower(concat_ws(
    E'\\n', t.slug, e.instruction, r.name, NULLIF(array_to_string(e.operators, E'\\n'), ''), NULLIF(e.outcome_reason, '')
))
FROM fleet_episode AS self
JOIN fleet_task AS t ON t.id = self.task_id
LEFT JOIN fleet_robot AS r ON r.id = self.robot_id
WHERE self.id = e.id;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0007_find_and_label_episodes'),
    ]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
