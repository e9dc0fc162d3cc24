"""A scripted SMTP server for tests: python3 server.py FOLDER [--login USER:PASSWORD] [--utf8]

It listens on a free port of the loopback interface and prints the port. Every message it takes becomes a file
`FOLDER/NUMBER.json` with the envelope and the data. It ends when its standard input is closed.

The first word of an address decides:

| address       | at        | answer                                        |
|---------------|-----------|-----------------------------------------------|
| forbidden@..  | MAIL FROM | 550 5.1.0                                     |
| bounce@..     | RCPT TO   | 550 5.1.1                                     |
| full@..       | RCPT TO   | 552 5.2.2                                     |
| greylist@..   | RCPT TO   | 451 4.7.1                                     |
| slow@..       | RCPT TO   | none                                          |
| spam@..       | data      | 554 5.7.1                                     |
| later@..      | data      | 451 4.3.0                                     |
| lost@..       | data      | none; the message is kept                     |
| hangup@..     | data      | closes the connection; the message is kept    |
| any other     |           | 250; the message is kept                      |
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

SENDERS = {"forbidden": "550 5.1.0 Sender address rejected"}
RECIPIENTS = {
    "bounce": "550 5.1.1 <{address}>: Recipient address rejected: no such user",
    "full": "552 5.2.2 Mailbox is full",
    "greylist": "451 4.7.1 Greylisted, try again later",
}
MESSAGES = {
    "spam": "554 5.7.1 Message refused: it looks like spam",
    "later": "451 4.3.0 Out of space, try again later",
}


def word(address):
    return address.split("@")[0]


async def silence():
    await asyncio.Event().wait()


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.number = 0

    async def handle_MAIL(self, server, session, envelope, address, options):
        if word(address) in SENDERS:
            return SENDERS[word(address)]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if word(address) == "slow":
            await silence()
        if word(address) in RECIPIENTS:
            return RECIPIENTS[word(address)].format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        recipient = word(envelope.rcpt_tos[0])
        if recipient in MESSAGES:
            return MESSAGES[recipient]
        self.keep(session, envelope)
        if recipient == "lost":
            await silence()
        if recipient == "hangup":
            server.transport.abort()
        return f"250 2.0.0 Ok: queued as {self.number}"

    def keep(self, session, envelope):
        self.number += 1
        message = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "port": session.peer[1],
            "login": session.authenticated,
            "data": envelope.original_content.decode("utf-8", "replace"),
        }
        name = os.path.join(self.folder, f"{self.number:06}.json")
        # The file appears at once and whole.
        with open(name + ".part", "w", encoding="utf-8") as file:
            json.dump(message, file)
        os.rename(name + ".part", name)


def authenticator(login):
    def check(server, session, envelope, mechanism, given):
        if not isinstance(given, LoginPassword):
            return AuthResult(success=False, handled=False)
        matches = f"{given.login.decode()}:{given.password.decode()}" == login
        return AuthResult(success=matches, handled=False)

    return check


def end_with_standard_input():
    sys.stdin.buffer.read()
    os._exit(0)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--login")
    parser.add_argument("--utf8", action="store_true")
    given = parser.parse_args()
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    handler = Handler(given.folder)
    login = {}
    if given.login:
        login = {
            "authenticator": authenticator(given.login),
            "auth_required": True,
            "auth_require_tls": False,
        }

    def connection():
        return SMTP(handler, hostname="smtp.test", enable_SMTPUTF8=given.utf8, **login)

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    await server.serve_forever()


asyncio.run(main())
