from django.conf import settings
from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0008_fill_what_is_searched'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='robotstop', name='stop_cleared_by_a_person'),
        migrations.AddField(
            model_name='robotstop',
            name='confirmed_at',
            field=models.DateTimeField(blank=True, help_text='When the server first heard of it from the robot itself.', null=True),
        ),
        migrations.AlterField(
            model_name='robotstop',
            name='cleared_by',
            field=models.ForeignKey(blank=True, help_text='Empty if it was cleared at the robot.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='robotstop',
            constraint=models.CheckConstraint(condition=models.Q(('cleared_at__isnull', False), ('cleared_by__isnull', True), _connector='OR'), name='stop_cleared_by_at_a_time'),
        ),
    ]
