"""Users from before there were roles keep what they could do: staff become admins, all others operators."""

from django.conf import settings
from django.db import migrations


def give_roles(apps, schema_editor):
    app, model = settings.AUTH_USER_MODEL.split(".")
    person = apps.get_model("fleet", "Person")
    users = apps.get_model(app, model).objects.filter(is_active=True, person__isnull=True)
    person.objects.bulk_create(
        person(user_id=user.pk, roles=["admin" if user.is_staff or user.is_superuser else "operator"]) for user in users
    )


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0015_give_people_roles'),
    ]

    operations = [
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
