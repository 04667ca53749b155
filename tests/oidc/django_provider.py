"""A second identity provider for tests: Django OAuth Toolkit on Django, with Django's users and passwords.

Options: --port PORT, --redirect ADDRESS (several). Client: `orgplane` with the secret `a secret of Django`. User: `grace`
with the password `a password of Django`, grace@example.com.
"""

import argparse
import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

LOGIN = """<form method="post">{% csrf_token %}
<label>Name <input name="username"></label>
<label>Password <input name="password" type="password"></label>
<button>Sign in</button></form>"""


class Handler(WSGIRequestHandler):
    """Without a line on the error output for each request."""

    def log_message(self, format, *args):
        pass


def private_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode()


def configure(issuer):
    loaders = [("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN})]
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        LOGIN_URL="/login/",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": issuer,
            "OIDC_RSA_PRIVATE_KEY": private_key(),
            "OAUTH2_VALIDATOR_CLASS": "__main__.Validator",
            "SCOPES": {"openid": "Identity", "email": "Mail", "profile": "Name"},
        },
        ROOT_URLCONF="__main__",
        SECRET_KEY="a secret for the tests",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"loaders": loaders},
            }
        ],
        USE_TZ=True,
    )
    django.setup()


def fill(redirects):
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    User.objects.create_user("grace", "grace@example.com", "a password of Django")
    Application.objects.create(
        name="orgplane",
        client_id="orgplane",
        client_secret="a secret of Django",
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=" ".join(redirects),
        algorithm=Application.RS256_ALGORITHM,
        skip_authorization=True,
    )


def main():
    global Validator, urlpatterns
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--redirect", action="append", default=[])
    options = parser.parse_args()
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    server = make_server("127.0.0.1", options.port, None, handler_class=Handler)
    issuer = f"http://127.0.0.1:{server.server_port}/o"
    configure(issuer)
    from django.contrib.auth.views import LoginView
    from django.core.wsgi import get_wsgi_application
    from oauth2_provider.oauth2_validators import OAuth2Validator

    class OwnValidator(OAuth2Validator):
        oidc_claim_scope = None

        def get_additional_claims(self, request):
            return {
                "sub": f"django-{request.user.pk}",
                "email": request.user.email,
                "email_verified": True,
                "name": request.user.get_username(),
            }

    Validator = OwnValidator
    urlpatterns = [
        path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
        path("login/", LoginView.as_view()),
    ]
    fill(options.redirect)
    server.set_app(get_wsgi_application())
    sys.stdout.write(f"{issuer}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
