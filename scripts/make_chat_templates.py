"""Writes tests/fixtures/chat-templates.json: chat templates and the texts that transformers makes with them.

The templates are written for this purpose; each uses what templates of published models use. Run it from the root of the
repository in an environment with transformers:

    python scripts/make_chat_templates.py
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
CONVERSATIONS = [
    [{"role": "user", "content": " Who wrote Faust? "}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    [
        {"role": "user", "content": 'A "quote", <b>bold</b> & é'},
        {"role": "assistant", "content": "One\ntwo"},
        {"role": "user", "content": "Go on"},
    ],
    [{"role": "assistant", "content": "I begin"}],
]

TEMPLATES = {
    "chatml": """{% for message in messages %}
{% if loop.first and message['role'] != 'system' %}
<|im_start|>system
You help.<|im_end|>
{% endif %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "alternating": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}
{% set loop_messages = messages[1:] %}{% else %}{% set loop_messages = messages %}{% endif %}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Roles must alternate, and the user begins') }}
    {%- endif -%}
    {%- if message['role'] == 'user' -%}
        {%- set content = '<<SYS>>' ~ system ~ '<</SYS>>' ~ message['content'] if system is defined and loop.first else message['content'] -%}
        {{ '[INST] ' + content.strip() + ' [/INST]' }}
    {%- else -%}
        {{ ' ' + message['content'].strip() + eos_token }}
    {%- endif -%}
{%- endfor -%}""",
    "macros": """{%- macro turn(role, text, last=false) -%}
<{{ role | upper }}{% if last %} last{% endif %}>{{ text | trim }}</{{ role | upper }}>
{%- endmacro -%}
{%- set ns = namespace(users=0, names=[]) -%}
{%- for message in messages %}
    {%- if message.role == 'user' %}{% set ns.users = ns.users + 1 %}{% endif %}
    {%- set ns.names = ns.names + [message.role] %}
{{ turn(message.role, message.content, last=loop.last) }}
{%- endfor %}

{{ ns.users }} of {{ messages | length }}: {{ ns.names | join('/') }} {{ messages | map(attribute='role') | list | tojson }}
{%- if add_generation_prompt %} >>{% endif %}""",
    "json": """{{ messages | tojson }}
{{ messages[-1] | tojson(indent=2) }}
{{ {'b': [1, 2.5, true, none], 'a': {}} | tojson }}
{{ messages | tojson(separators=(',', ':'), sort_keys=true) }}
{{ {'é😀': [[], {}, [{'b': 1, 'a': '\\u007f"'}]]} | tojson(ensure_ascii=true, indent=1, separators=(';', '=')) }}""",
    "methods": """{%- for message in messages -%}
{%- if message['content'].startswith(' ') or 'quote' in message.content -%}{{ message.content.lstrip().replace('e', 'E').split(' ')[0] }}|
{%- elif message['role'] in ['assistant'] and not loop.last -%}{%- continue -%}
{%- else -%}{{ message.get('content', '').upper() }}{{ message.get('name', 'nobody') }}|{%- endif -%}
{%- for key, value in message.items() -%}{{ key }}={{ value.rstrip() | length }};{%- endfor -%}
{%- if message.role == 'system' -%}{%- break -%}{%- endif -%}
{%- endfor -%}
{{- missing is defined }}{{ missing is none }}{{ (bos_token is string) }}{{ '%s-%s' | format('x', 1) }}""",
    "generation": """{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}

{%- else %}
[{{ message.content }}]
{% endif %}{% endfor %}""",
    "tools": """{%- if tools is none or (tools | length) == 0 %}no tools{% endif %}
{%- if tools is not none %}{{ tools | length }} tools{% endif %}
{%- if documents is defined and documents is none %}, no documents{% endif %}""",
    "variables": """{%- if tools %}
    {%- for tool in tools %}{{ tool | tojson }}
{% endfor %}
{%- endif %}
{%- if effort is defined and effort %}<effort>{{ effort }}{% if budget is number %} {{ budget + 1 }}{% endif %}</effort>{% endif %}
{%- for message in messages %}
{{ message.role }}: {{ message.content }}
{%- endfor %}
{%- if add_generation_prompt %}

assistant: {% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}
{%- endif %}""",
}

# What is given to the last of them, beside nothing.
VARIABLES = [
    {"enable_thinking": False},
    {"enable_thinking": True, "effort": "low", "budget": 99},
    {"tools": [{"name": "now", "arguments": {"zone": "é", "n": 1.5, "ok": None}}], "enable_thinking": "false"},
]


def rendered(template: str, messages: list, prompt: bool, variables: dict) -> dict:
    case = {"messages": messages, "add_generation_prompt": prompt}
    if variables:
        case["variables"] = {name: json.dumps(value, ensure_ascii=False) for name, value in variables.items()}
    try:
        texts, _ = render_jinja_template(
            conversations=[messages], chat_template=template, add_generation_prompt=prompt, **variables, **TOKENS
        )
        return case | {"text": texts[0]}
    except Exception as error:  # what a template raises is a part of what it does
        return case | {"error": str(error)}


def main() -> None:
    cases = {
        name: {
            "template": template,
            "cases": [
                rendered(template, messages, prompt, variables)
                for variables in [{}] + (VARIABLES if name == "variables" else [])
                for messages in CONVERSATIONS
                for prompt in (True, False)
            ],
        }
        for name, template in TEMPLATES.items()
    }
    path = Path("tests/fixtures/chat-templates.json")
    path.write_text(json.dumps({"special_tokens": TOKENS, "templates": cases}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
