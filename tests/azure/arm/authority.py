"""The OAuth2 authority: tokens for client secrets and federated assertions, and their checking.

Tokens are JWTs signed with a key of this run. A principal is known by its object id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.azure.arm.errors import ArmError
from tests.azure.arm.web import Answer, Request

FEDERATED = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Principal:
    """A client: `secret` or `assertion` proves it; `actions` are what its roles allow in the subscription."""

    client_id: str
    object_id: str
    secret: str = field(default="", repr=False)
    assertion: str = field(default="", repr=False)
    actions: tuple[str, ...] = ("*",)


class Authority:
    """Serves `/{tenant}/…` and judges bearer tokens."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self._key = secrets.token_bytes(32)
        self.lifetime = 3600
        self.principals: dict[str, Principal] = {}

    def add(self, actions: tuple[str, ...] = ("*",)) -> Principal:
        """A new client with a secret and a federated assertion."""
        principal = Principal(str(uuid.uuid4()), str(uuid.uuid4()), secrets.token_urlsafe(24),
                              f"federated.{secrets.token_urlsafe(24)}", actions)
        self.principals[principal.client_id] = principal
        return principal

    def serve(self, request: Request, base: str) -> Answer:
        tenant, _, rest = request.path.lstrip("/").partition("/")
        if tenant.lower() not in (self.tenant, "organizations", "common"):
            return _refused("invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")
        if rest.endswith(".well-known/openid-configuration"):
            here = f"{base}/{self.tenant}"
            return Answer(200, {"issuer": f"{here}/v2.0", "token_endpoint": f"{here}/oauth2/v2.0/token",
                                "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
                                "jwks_uri": f"{here}/discovery/v2.0/keys", "tenant_region_scope": "EU"})
        if rest == "oauth2/v2.0/token" and request.method == "POST":
            return self._token(request.form())
        return _refused("invalid_request", "AADSTS900144: unknown endpoint", 404)

    def _token(self, form: dict[str, str]) -> Answer:
        if form.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", "AADSTS70003: the grant type is not supported.")
        scopes = form.get("scope", "").split()
        if len(scopes) != 1 or not scopes[0].endswith("/.default"):
            return _refused("invalid_scope", "AADSTS1002012: a scope ends with /.default for client credentials.")
        principal = self.principals.get(form.get("client_id", ""))
        if principal is None:
            return _refused("unauthorized_client", "AADSTS700016: Application was not found in the directory.")
        if form.get("client_assertion_type") == FEDERATED:
            proven = hmac.compare_digest(form.get("client_assertion", "").strip(), principal.assertion)
        else:
            proven = bool(principal.secret) and hmac.compare_digest(form.get("client_secret", ""), principal.secret)
        if not proven:
            return _refused("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401)
        audience = scopes[0].removesuffix("/.default")
        return Answer(200, {"token_type": "Bearer", "expires_in": self.lifetime, "ext_expires_in": self.lifetime,
                            "access_token": self.token(principal, audience)})

    def token(self, principal: Principal, audience: str) -> str:
        """A bearer token of a principal for an audience."""
        now = int(time.time())
        claims = {"aud": audience, "iss": f"https://sts.windows.net/{self.tenant}/", "iat": now, "nbf": now,
                  "exp": now + self.lifetime, "oid": principal.object_id, "appid": principal.client_id,
                  "tid": self.tenant, "idtyp": "app", "jti": secrets.token_hex(8)}
        signed = f"{_b64(json.dumps({'typ': 'JWT', 'alg': 'HS256'}).encode())}.{_b64(json.dumps(claims).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def caller(self, request: Request, audiences: tuple[str, ...], base: str) -> Principal:
        """Who asks; 401 with the challenge of ARM unless the token is one of ours, in time and for this audience."""
        challenge = {"WWW-Authenticate": f'Bearer authorization_uri="{base}/{self.tenant}", error="invalid_token", '
                     'error_description="The authentication failed because of missing or wrong \'Authorization\'."'}
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise ArmError(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.",
                           headers=challenge)
        claims = self.claims(token)
        if claims is None:
            raise ArmError(401, "InvalidAuthenticationToken", "The access token is invalid.", headers=challenge)
        if claims["exp"] < time.time():
            raise ArmError(401, "ExpiredAuthenticationToken", "The access token expiry is in the past.",
                           headers=challenge)
        if claims["aud"].rstrip("/") not in audiences:
            raise ArmError(401, "InvalidAuthenticationTokenAudience", "The access token has been obtained for wrong "
                           f"audience or resource '{claims['aud']}'. It should exactly match with one of the allowed "
                           f"audiences '{', '.join(audiences)}'.", headers=challenge)
        return self.principals[claims["appid"]]

    def claims(self, token: str) -> dict[str, Any] | None:
        """Of a token with our signature, or None."""
        signed, _, signature = token.rpartition(".")
        if not signed or not hmac.compare_digest(signature, self._sign(signed)):
            return None
        payload = signed.partition(".")[2]
        return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))

    def _sign(self, text: str) -> str:
        return _b64(hmac.new(self._key, text.encode(), hashlib.sha256).digest())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _refused(error: str, description: str, status: int = 400) -> Answer:
    return Answer(status, {"error": error, "error_description": description, "error_codes": [], "trace_id": "0"})
