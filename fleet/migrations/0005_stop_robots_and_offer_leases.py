import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0004_name_the_console_of_a_lease'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='lease',
            name='offered_to',
            field=models.ForeignKey(blank=True, help_text='Who may take it without being a manager, as its holder said.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='RobotStop',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stop_id', models.UUIDField()),
                ('by', models.CharField(max_length=200)),
                ('reason', models.CharField(blank=True, max_length=2000)),
                ('stopped_at', models.DateTimeField(help_text='By the clock of whoever stopped.')),
                ('cleared_at', models.DateTimeField(blank=True, null=True)),
                ('cleared_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('robot', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='stops', to='fleet.robot')),
                ('user', models.ForeignKey(blank=True, help_text='Who stopped over the server; empty if the robot reported the stop.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-id',),
                'indexes': [models.Index(condition=models.Q(('cleared_at__isnull', True)), fields=['robot'], name='stop_in_force')],
                'constraints': [models.UniqueConstraint(fields=('robot', 'stop_id'), name='stop_id_unique_a_robot'), models.CheckConstraint(condition=models.Q(models.Q(('cleared_at__isnull', True), ('cleared_by__isnull', True)), models.Q(('cleared_at__isnull', False), ('cleared_by__isnull', False)), _connector='OR'), name='stop_cleared_by_a_person')],
            },
        ),
    ]
