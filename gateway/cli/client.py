"""`concordat token get` and `concordat call`: what a consumer's application does, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Home, Json
from gateway.cli.output import Exit, Stop, line, show_json, tell, write_bytes

if TYPE_CHECKING:
    from gateway.demo.channel import Answer

token = typer.Typer(no_args_is_help=True, help="Get access tokens.")

Client = Annotated[
    str | None,
    typer.Option(
        "--client",
        metavar="ID",
        help="OAuth client. In a demo: any client of its pack; what is not said is taken from its "
        "example there.",
        show_default=False,
    ),
]
Service = Annotated[
    str | None, typer.Option("--service", metavar="CONNECTOR", help="Service to ask, in a demo.")
]
Resource = Annotated[
    str | None,
    typer.Option("--resource", metavar="URI", help="Audience of the token (RFC 8707)."),
]
Agreement = Annotated[
    str | None, typer.Option("--agreement", metavar="ID", help="Agreement to rely on.")
]
Purpose = Annotated[str | None, typer.Option("--purpose", metavar="CODE", help="Why you ask.")]
Context = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="NAME=VALUE",
        help="A fact of the request's context; may be repeated.",
        show_default=False,
    ),
]
OnBehalfOf = Annotated[
    str | None, typer.Option("--on-behalf-of", metavar="REF", help="Whom you ask for.")
]
Bearer = Annotated[
    bool, typer.Option("--bearer", help="Do not bind the token to the client's key (no DPoP).")
]
Issuer = Annotated[
    str | None,
    typer.Option("--issuer", metavar="URL", help="Authorization server, outside a demo."),
]
Metadata = Annotated[
    str | None,
    typer.Option(
        "--metadata-url",
        metavar="URL",
        help="The issuer's metadata. Default: its well-known place (RFC 8414).",
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="The client's private key, outside a demo: EC P-256, JWK or PEM.",
        show_default=False,
    ),
]


@token.command("get")
def get(
    *,
    client: Client = None,
    service: Service = None,
    resource: Resource = None,
    agreement: Agreement = None,
    purpose: Purpose = None,
    context: Context = None,
    on_behalf_of: OnBehalfOf = None,
    bearer: Bearer = False,
    issuer: Issuer = None,
    metadata_url: Metadata = None,
    key: Key = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Get an access token with the client's key (private_key_jwt), bound to it by DPoP.

    With --home of a running demo, --client is enough. Elsewhere give --issuer, --client, --key and
    --resource.
    """
    from gateway.cli.credentials import Wish
    from gateway.cli.credentials import get as get_token

    wish = Wish(
        client=client, service=service, resource=resource, agreement=agreement, purpose=purpose,
        context=tuple(context or ()), on_behalf_of=on_behalf_of, bearer=bearer, issuer=issuer,
        metadata_url=metadata_url, key=key,
    )  # fmt: skip
    held = get_token(wish, home)
    if as_json:
        kind = "DPoP" if held.bound else "Bearer"
        show_json(
            {
                "access_token": held.access_token,
                "token_type": kind,
                "expires_in": held.lifetime_s,
            }
        )
    else:
        line(held.access_token)


def call(
    *,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, …")],
    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="Path and query below the gateway, or a whole URL."),
    ],
    client: Client = None,
    body: Annotated[
        str | None,
        typer.Option("--body", metavar="JSON", help="Body to send; @FILE reads it from a file."),
    ] = None,
    service: Service = None,
    resource: Resource = None,
    agreement: Agreement = None,
    purpose: Purpose = None,
    context: Context = None,
    on_behalf_of: OnBehalfOf = None,
    bearer: Bearer = False,
    issuer: Issuer = None,
    metadata_url: Metadata = None,
    key: Key = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Get a token and make one call, as a consumer's application would.

    Without --client the call carries no token, as anyone may make it. The answer's body goes to
    standard output, its status and exchange id to standard error. Exit 1 if it was refused.
    """
    from gateway.cli.credentials import Wish, make_call

    wish = Wish(
        client=client, service=service, resource=resource, agreement=agreement, purpose=purpose,
        context=tuple(context or ()), on_behalf_of=on_behalf_of, bearer=bearer, issuer=issuer,
        metadata_url=metadata_url, key=key,
    )  # fmt: skip
    answer = make_call(wish, home, method=method.upper(), path=path, body=_body(body))
    _show(answer, as_json=as_json)
    raise typer.Exit(Exit.OK if answer.status < _REFUSED_FROM else Exit.FAILED)


_REFUSED_FROM = 400


def _body(body: str | None) -> bytes:
    if body is None or not body.startswith("@"):
        return (body or "").encode()
    try:
        return Path(body[1:]).read_bytes()
    except OSError as error:
        raise Stop(f"{body[1:]} cannot be read: {error.strerror}") from None


def _show(answer: Answer, *, as_json: bool) -> None:
    exchange_id = answer.headers.get("exchange-id")
    if not as_json:
        tell(f"HTTP {answer.status}, exchange {exchange_id or '(none)'}")
        write_bytes(answer.body)
        return
    try:
        content = answer.json()
    except ValueError:
        content = answer.body.decode("utf-8", "replace")
    show_json({"status": answer.status, "exchange_id": exchange_id, "body": content})
