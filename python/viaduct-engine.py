"""llama-server out of a Python wheel: takes the flags of llama-server that Viaduct uses and runs the same server from xllamacpp.

The API key comes in the environment (LLAMA_API_KEY), where other users' `ps` does not show it.
"""

import argparse
import os
import sys
import threading


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--model")
    parser.add_argument("--alias")
    parser.add_argument("--mmproj")
    parser.add_argument("--lora", action="append", default=[])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ctx-size", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--threads-batch", type=int)
    parser.add_argument("--threads-http", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--ubatch-size", type=int)
    parser.add_argument("--gpu-layers", type=int)
    parser.add_argument("--cache-reuse", type=int)
    parser.add_argument("--cache-ram", type=int)
    parser.add_argument("--slot-prompt-similarity", type=float)
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--reranking", action="store_true")
    parser.add_argument("--pooling", choices=["none", "mean", "cls", "last", "rank"])
    parser.add_argument("--chat-template")
    parser.add_argument("--reasoning-format", choices=["none", "auto", "deepseek", "deepseek-legacy"])
    parser.add_argument("--jinja", action="store_true")
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--slots", action="store_true")
    parser.add_argument("--no-context-shift", action="store_true")
    parser.add_argument("--no-webui", action="store_true")
    parser.add_argument("--no-warmup", action="store_true")
    return parser.parse_args()


def parameters(engine, given):
    params = engine.CommonParams()
    params.model.path = given.model
    if given.alias:
        params.model_alias = {given.alias}
    if given.mmproj:
        params.mmproj.path = given.mmproj
    adapters = []
    for path in given.lora:
        adapter = engine.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = path, 1.0
        adapters.append(adapter)
    params.lora_adapters = adapters
    params.hostnames = [given.host]
    params.port = given.port
    key = os.environ.pop("LLAMA_API_KEY", None)
    if key:
        params.api_keys = [key]
    params.n_ctx = given.ctx_size
    params.n_parallel = given.parallel
    params.use_jinja = given.jinja
    params.ctx_shift = not given.no_context_shift
    params.endpoint_metrics = given.metrics
    params.endpoint_slots = given.slots
    params.ui = not given.no_webui
    params.warmup = not given.no_warmup
    if given.threads:
        params.cpuparams.n_threads = given.threads
        params.cpuparams_batch.n_threads = given.threads_batch or given.threads
    for name, value in {
        "n_threads_http": given.threads_http,
        "n_batch": given.batch_size,
        "n_ubatch": given.ubatch_size,
        "n_gpu_layers": given.gpu_layers,
        "n_cache_reuse": given.cache_reuse,
        "cache_ram_mib": given.cache_ram,
        "slot_prompt_similarity": given.slot_prompt_similarity,
        "chat_template": given.chat_template,
    }.items():
        if value is not None:
            setattr(params, name, value)
    if given.reasoning_format:
        name = given.reasoning_format.upper().replace("-", "_")
        params.reasoning_format = getattr(engine.common_reasoning_format, f"COMMON_REASONING_FORMAT_{name}")
    params.embedding = given.embeddings or given.reranking
    pooling = "rank" if given.reranking else given.pooling
    if pooling:
        params.pooling_type = getattr(engine.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
    return params


def main():
    given = arguments()
    import xllamacpp

    if given.version:
        print(f"xllamacpp {xllamacpp.__version__}")
        return
    if not given.model:
        sys.exit("--model is missing")
    try:
        # Returns once it listens, and serves from threads of its own for as long as the object lives.
        server = xllamacpp.Server(parameters(xllamacpp, given))
    except Exception as error:
        print(error, file=sys.stderr, flush=True)
        # The interpreter's own way out may wait for the engine's threads.
        os._exit(1)
    threading.Event().wait()
    del server


main()
