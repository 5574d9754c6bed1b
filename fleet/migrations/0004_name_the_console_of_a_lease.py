from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0003_keep_extremes_of_merged_metrics'),
    ]

    operations = [
        migrations.AddField(
            model_name='lease',
            name='connection',
            field=models.CharField(blank=True, help_text='The console connection that holds it.', max_length=36, default=''),
            preserve_default=False,
        ),
    ]
