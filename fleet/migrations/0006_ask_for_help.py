import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0005_stop_robots_and_offer_leases'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='HelpRequest',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('reason', models.CharField(choices=[('no_progress', 'no_progress'), ('uncertain', 'uncertain'), ('constraint', 'constraint'), ('paused', 'paused')], max_length=16)),
                ('score', models.FloatField()),
                ('detail', models.CharField(blank=True, max_length=2000)),
                ('state', models.CharField(choices=[('open', 'Open'), ('served', 'Served'), ('closed', 'Closed')], default='open', max_length=16)),
                ('ending', models.CharField(blank=True, choices=[('served', 'a person drove the robot and gave it back'), ('withdrawn', 'the robot asked no more before anybody came'), ('offline', 'the robot left')], max_length=16)),
                ('opened_at', models.DateTimeField(db_index=True)),
                ('ranked_at', models.DateTimeField()),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('operator', models.CharField(blank=True, max_length=200)),
                ('episode_id', models.UUIDField(blank=True, null=True)),
                ('lease', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='help_requests', to='fleet.lease')),
                ('policy_version', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to='fleet.policyversion')),
                ('robot', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='help_requests', to='fleet.robot')),
                ('task', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to='fleet.task')),
            ],
            options={
                'ordering': ('-opened_at',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('robot',), name='help_one_unclosed_a_robot'), models.CheckConstraint(condition=models.Q(('score__gte', 0), ('score__lte', 1)), name='help_score_range'), models.CheckConstraint(condition=models.Q(('reason__in', ['no_progress', 'uncertain', 'constraint', 'paused'])), name='help_reason_known'), models.CheckConstraint(condition=models.Q(models.Q(('claimed_at__isnull', True), ('closed_at__isnull', True), ('ending', ''), ('state', 'open')), models.Q(('claimed_at__isnull', False), ('closed_at__isnull', True), ('ending', ''), ('state', 'served')), models.Q(('closed_at__isnull', False), ('state', 'closed'), models.Q(('ending', ''), _negated=True)), _connector='OR'), name='help_state_fits_its_times'), models.CheckConstraint(condition=models.Q(('claimed_at__isnull', True), ('claimed_at__gte', models.F('opened_at')), _connector='OR'), name='help_claimed_after_opened'), models.CheckConstraint(condition=models.Q(('closed_at__isnull', True), ('closed_at__gte', models.F('opened_at')), _connector='OR'), name='help_closed_after_opened')],
            },
        ),
        migrations.CreateModel(
            name='HelpSettings',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('ranking', models.CharField(choices=[('fifo', 'fifo'), ('cur', 'cur'), ('thrifty', 'thrifty')], max_length=16)),
                ('changed_at', models.DateTimeField()),
                ('changed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'help settings',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='help_settings_one_row'), models.CheckConstraint(condition=models.Q(('ranking__in', ['fifo', 'cur', 'thrifty'])), name='help_ranking_known')],
            },
        ),
    ]
