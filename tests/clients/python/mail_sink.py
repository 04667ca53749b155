"""A mail server that takes every mail and prints it as a line of JSON; `--port` is where it listens."""

import argparse
import asyncio
import email
import email.policy
import json

from aiosmtpd.controller import Controller


class Printer:
    """Prints what it is given."""

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        mail = {
            "to": envelope.rcpt_tos,
            "from": envelope.mail_from,
            "id": message["message-id"],
            "subject": message["subject"],
            "text": message.get_content(),
        }
        print("mail " + json.dumps(mail), flush=True)
        return "250 taken"


def main():
    """Listens until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    controller = Controller(Printer(), hostname="127.0.0.1", port=parser.parse_args().port)
    controller.start()
    print("listening", flush=True)
    asyncio.new_event_loop().run_forever()


if __name__ == "__main__":
    main()
