# SPDX-License-Identifier: Apache-2.0
#
#     make wheel
#     docker build -t cnnmetric .
#     docker run --rm -v "$PWD:/data" cnnmetric register T1.nii.gz T2.nii.gz -o out/
#
# The wheel is built outside, so that the image holds no compiler. The registration runs on the CPU;
# for a GPU, start from an image with the CUDA and cuDNN that onnxruntime-gpu needs (the doctor says
# which).
FROM python:3.11-slim-bookworm

COPY dist/cnnmetric-*-cp311-cp311-*.whl /tmp/
RUN pip install --no-cache-dir /tmp/cnnmetric-*.whl && rm /tmp/cnnmetric-*.whl

RUN useradd --uid 1000 --create-home user
USER 1000
WORKDIR /data
ENTRYPOINT ["cnnmetric"]
CMD ["doctor"]
