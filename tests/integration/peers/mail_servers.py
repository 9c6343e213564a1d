"""Mail servers by aiosmtpd: each keeps what it was given and who signed in how."""
import logging
import ssl
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

warnings.filterwarnings("ignore", module="aiosmtpd")
logging.getLogger("mail.log").setLevel(logging.ERROR)


class MailServer:
    """`implicit`: TLS from the start; `offers_tls`: STARTTLS; `without`: mechanisms not offered; `refusal`: the answer to RCPT."""

    def __init__(self, address, port, certs, name, user, password, implicit=False, offers_tls=True, without=(), refusal=None):
        self.mails, self.logins = [], []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*reversed(certs.server(name)))
        server = self

        class Handler:
            async def handle_RCPT(self, smtp, session, envelope, address, options):
                if refusal:
                    return refusal
                envelope.rcpt_tos.append(address)
                return "250 OK"

            async def handle_DATA(self, smtp, session, envelope):
                server.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content.decode(),
                                     smtp.transport.get_extra_info("ssl_object") is not None))
                return "250 Taken"

            async def auth_GSSAPI(self, smtp, args):  # what a client without a ticket must not fall for
                return AuthResult(success=False, handled=False)

        def check(smtp, session, envelope, mechanism, data):
            is_good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
            server.logins.append((mechanism, is_good))
            return AuthResult(success=is_good, handled=is_good)

        arguments = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True} if offers_tls else {}
        self.controller = Controller(Handler(), hostname=address, port=port, authenticator=check, auth_required=True,
                                     auth_require_tls=not implicit and offers_tls, auth_exclude_mechanism=without, **arguments)
        self.controller.start()
